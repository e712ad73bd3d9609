"""What users say. Syntax and the held-out last phrase of each list: see `wording`."""

HELLO = "[|||Hi, |Hello, |Hey, |Good morning, |Hi there, |Hello, {name} here. |Hi, this is {name}. ]"

ORDER_ID = [
    "It is {id}.",
    "[The number is|Order number|It's order] {id}.",
    "{id}",
    "[Sure|Of course|Yes], {id}.",
    "That would be {id}[, thanks|, please|].",
    "[Found it|Here it is]: {id}",
    "On the receipt I read {id}.",
]
ORDER_ID_AGAIN = [
    "Sorry, it is {id}.",
    "[My mistake|Oops|I mistyped], {id}.",
    "[Then try|Please try|Let's try] {id}.",
    "I [read|see] {id} in the [mail|email|confirmation].",
    "Hold on, the paper says {id}.",
]
WHERE = [
    HELLO + "where is my order {id}?",
    HELLO + "[my|the] order {id} [has not arrived|is not here|still has not come].",
    HELLO + "I am [still |]waiting for [order|package|parcel] {id}.",
    HELLO + "[any news on|what happened to|can you track|what's the status of] order {id}?",
    HELLO + "when [will|does|is] [order|parcel] {id} [arrive|come|get here]?",
    HELLO + "could you [please |]check [on |]order {id}[| for me]?",
    HELLO + "I ordered something weeks ago, number {id}, and I wonder where it went.",
]
WHERE_NO_ID = [
    HELLO + "where is my order?",
    HELLO + "my [package|parcel|order] [has not arrived|never came|is missing].",
    HELLO + "I am [still |]waiting for my [package|parcel|order].",
    HELLO + "[can|could] you [track|check] my [order|parcel|package]?",
    HELLO + "I wonder when the thing that I bought gets here.",
]
NEVER_CAME = [
    "[But I|I] never [got|received] it.",
    "[That can't be right|Strange|No way], [nothing came|it is not here|there was no parcel].",
    "It says delivered but I [have nothing|don't have it].",
    "[My neighbours|Nobody here] [don't have it|got it] either. It is [gone|missing].",
    "Well, nobody rang and nothing lies at the door.",
]
OK = [
    "[Ok|Okay|Alright|Fine|Good|Great], [thanks|thank you|that helps].",
    "[Thanks|Thank you|Perfect|Super].",
    "[Got it|Understood|I see].",
    "[That's|That is] [good to know|fine|great].",
    "Very kind of you.",
]
TWO_ORDERS = [
    HELLO + "[can|could] you check [orders|my orders] {id} and {other}?",
    HELLO + "[where are|what's up with|any news on] {id} and {other}?",
    HELLO + "I have two [orders|parcels] open, {id} and {other}. [Where are they|How do they stand]?",
    HELLO + "both {id} and {other} should have been here by now, no?",
]
EXCHANGE = [
    HELLO + "I [want|would like|need] to exchange order {id} for the {colour} one.",
    HELLO + "[can|could] I swap [order |]{id} [for|to] {colour}?",
    HELLO + "order {id} came in the wrong colour, I [want|need|wanted] {colour}.",
    HELLO + "[please|I'd like to] change [my |]order {id} [to|for one in] {colour}.",
    HELLO + "the thing from {id} does not suit me, do you have it in {colour} instead?",
]
REFUND_INSTEAD = [
    "[Yes|Sure|Ok], [then |]refund it[, please|].",
    "[Then|In that case] [I want|give me|I'd like] [the|my] money back.",
    "Yes[, please|, do that|, a refund is fine].",
    "Money back is all right by me.",
]
KEEP_IT = [
    "No[, thanks|], I [will |'ll |]keep it.",
    "[Never mind|Forget it|Leave it], I keep [this one|it].",
    "No, [that's fine|leave it as it is].",
    "Then I would rather hold on to what I have.",
]
LOCKED = [
    HELLO + "I [can't|cannot|am not able to] [log in|sign in|get into my account].",
    HELLO + "I [forgot|lost|don't remember] my password.",
    HELLO + "my account is locked.",
    HELLO + "[please|can you|could you] reset my password[?|]",
    HELLO + "the site no longer accepts my password.",
]
CREDENTIALS = [
    "[Sure|Ok|Yes], <{email}>, [code|the code is] {code}.",
    "[It is|My email is|The address is] <{email}> and the code [is|says] {code}.",
    "Email <{email}>, code {code}",
    "{code} is the code, <{email}> the [email|address].",
    "[The code says|I got] {code}, my [email|address] is <{email}>.",
    "You can reach me at <{email}>; they texted me {code}.",
]
CODE_AGAIN = [
    "[Sorry|Oops|Ah], {code}.",
    "[It says|I read|The new code is|Now it is] {code}.",
    "[Try|Please try] {code}.",
    "Let me see... {code} it is.",
]
BROKEN = [
    HELLO + "my {device} [is broken|stopped working|does not turn on|makes a strange noise], serial {serial}.",
    HELLO + "the {device} with serial [number |]{serial} [died|is broken|fails|won't start].",
    HELLO + "[is my {device} still under warranty|do I have warranty on my {device}]? [Serial|Number] {serial}.",
    HELLO + "I need a repair for my {device}, {serial}.",
    HELLO + "smoke came out of the {device}, the plate on its back says {serial}.",
]
SERIAL_AGAIN = [
    "Sorry, {serial}.",
    "[It is|The plate says|I misread it], {serial}.",
    "[Try|Please try] {serial}.",
    "With better light I read {serial}.",
]
VISIT = [
    "[A visit|A technician|Someone should come], [please, |]on {day}.",
    "[Please come|Send someone|Come by] on {day}.",
    "[I prefer|I'd like|I want] a visit on {day}.",
    "At home, {day} would suit me.",
]
SEND_IN = [
    "I [will|'ll|can] send it in.",
    "[Sending|Mailing|Shipping] it [is fine|works|is better].",
    "I [prefer|would rather] [to send|to mail|sending] it.",
    "Post is easier for me.",
]
OTHER_DAY = [
    "[Then|Ok, then|What about|How about|Try] {day}[.|?]",
    "{day}[, please|]",
    "[Maybe|Perhaps] {day}?",
    "I could also do {day}.",
]
PAID_YES = [
    "[Yes|Ok|Sure|Fine], [please |]book it for {day}.",
    "[That's ok|I'll pay|Agreed], {day} [works|is good].",
    "Yes, on {day}.",
    "So be it, make it {day}.",
]
NO_THANKS = [
    "No[, thanks|, thank you|].",
    "[That's|That is] too [much|expensive].",
    "[No|Nah], [leave it|not now|I'll think about it].",
    "I would rather not.",
]
UNPAID = [
    HELLO + "[my payment|the payment] for [invoice |]{id} [failed|did not go through|was rejected].",
    HELLO + "[there is a problem with|something is wrong with|what about] invoice {id}[?|.]",
    HELLO + "I [got|have] a reminder for {id}. [Can you check|What's wrong]?",
    HELLO + "[please|can you] [check|look at] invoice {id}.",
    HELLO + "you keep writing to me about {id}, please sort it out.",
]
INVOICE_AGAIN = [
    "Sorry, {id}.",
    "[It is|I meant|The right one is] {id}.",
    "[Try|Please try] {id}.",
    "The letter has {id} at the top.",
]
METHOD = [
    "[Use|Try|Take|Please use] {method}.",
    "{method}[, please|]",
    "[Then|Let's try|I can pay by|How about] {method}.",
    "My wife says {method} should do.",
]
METHOD_WORDS = {
    "paypal": ["PayPal", "my PayPal", "PayPal account"],
    "bank_transfer": ["bank transfer", "a bank transfer", "a transfer"],
}
OUTAGE = [
    HELLO + "the internet [is down|does not work|is dead] in {region}.",
    HELLO + "[no|I have no] [connection|internet|service] [here |]in {region}.",
    HELLO + "is there [an outage|a problem|something wrong] in {region}?",
    HELLO + "[everything|the line|my connection] is [very slow|dropping] in {region}.",
    HELLO + "we sit without a signal in {region} since this morning.",
]
WORKS = [
    "[Yes|It works|That helped|Working again], [thanks|thank you].",
    "[Great|Nice|Good], it [works|is back].",
    "It is back[!|, thank you.]",
    "All lights are green once more.",
]
STILL_BROKEN = [
    "[No|Sorry|Hm], [still|it is still] [dead|down|not working|broken].",
    "[Nothing changed|That did not help|Still no connection].",
    "It [still |]does not work.",
    "The light keeps blinking red.",
]
ACCOUNT = [
    "[It is|My account is|Account|Customer number] {account}.",
    "{account}",
    "[Sure|Here you go|Ok], {account}.",
    "On the bill I find {account}.",
]
MOVED = [
    HELLO + "[please |]send order {id} to {address}.",
    HELLO + "I [moved|am moving], order {id} [should go|must go|has to go] to {address}.",
    HELLO + "[can|could] you change the address of [order |]{id} to {address}?",
    HELLO + "[wrong address|new address] for {id}: {address}.",
    HELLO + "we live somewhere else now, so {id} needs to reach us at {address}.",
]
CANCEL = [
    HELLO + "I want to [cancel|end|stop] my [subscription|plan|contract].",
    HELLO + "[please |]cancel my [subscription|plan].",
    HELLO + "how do I [get out of|end|quit] my [plan|contract|subscription]?",
    HELLO + "I no longer need what I pay for every month.",
]
CONFIRM_FEE = [
    "[Yes|Ok|Fine|Sure], cancel it[ anyway| please|].",
    "[I accept|That's ok|Agreed], [go ahead|do it].",
    "Yes[, go ahead|, please|].",
    "It hurts, but end it.",
]
DECLINE_FEE = [
    "[No|Then no], [I keep it|leave it|let it run].",
    "[Too much|That's a lot], [I'll wait|leave it|no].",
    "No[, not at that price|, thanks].",
    "Then it shall run on.",
]
THANKS = [
    "[Thanks|Thank you|Many thanks|Great, thanks] for [your|the] help!",
    "[That's all|That was all|Nothing else][, thanks|, thank you|]. [Bye|Goodbye|Have a nice day]!",
    "[You were|That was] very helpful.",
    "[Bye|Goodbye|See you]!",
    "You made my day.",
]
OFFTOPIC = [
    "[What's the weather like|Will it rain tomorrow|How warm is it] today?",
    "[Tell me a joke|Do you know a joke|Make me laugh].",
    "[Who won|Did you see] the [game|match] [yesterday|last night]?",
    "[Are you a robot|Are you human|Who am I talking to]?",
    "[Can you|Could you] [recommend a film|write me a poem|help with my homework]?",
    "What is the meaning of life?",
]
