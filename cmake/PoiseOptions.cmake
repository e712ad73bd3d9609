# poise_options(target): the warnings and sanitizers of Poise's own targets, never of llama.cpp's.

function(poise_options target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-Wall -Wextra -Wconversion>
    $<$<AND:$<BOOL:${POISE_WERROR}>,$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>>:-Werror>)
  if(POISE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${POISE_SANITIZE} -fno-omit-frame-pointer -g)
    target_link_options(${target} PRIVATE -fsanitize=${POISE_SANITIZE})
  endif()
endfunction()
