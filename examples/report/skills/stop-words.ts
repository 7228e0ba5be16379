/**
 * Words that say nothing about a subject: small lists for some languages, and the vocabulary of programming languages.
 *
 * Languages share spellings (German "die", "war"): only the lists of the languages that a text is written in are used,
 * found by how many of its words each list has.
 */
const list = (words: string): ReadonlySet<string> => new Set(words.trim().split(/\s+/))

const ENGLISH = list(`
a about above across actually after again against all almost also although always among an and another any anything are
around as at away back be became because become been before behind being below between both but by can cannot could did
do does doing done down during each either else enough even ever every everything except far few first for from further
gets get gives give given go goes going gone got had has have having he hence her here hers him his how however i if in
indeed instead into is it its itself just keep kept last later least less let like made make makes many may maybe me
might mine more most much must my near need needs neither never new next no none nor not nothing now of off often on once
one only onto or other others our out over own per perhaps put quite rather really same say says second see seem seems
seen several shall she should since so some something soon still such take taken takes than that the their them then
there therefore these they thing things third this those though three through thus to together too toward two under until
up upon us use used uses using usually very via want was way we well went were what whatever when where whether which
while who whole whom whose why will with within without would yes yet you your kb mb gb kib mib gib ms et al able ask asked begin called certain come comes complete done end ended ends find found full hold holds know
known look looks mean means open part place possible put read ready run runs say said show shown shows side start started
starts stand stands stay stop stopped tell told time times true turn way work works write written year years it's don't can't doesn't isn't e.g i.e etc
`)

const OTHERS: ReadonlySet<string>[] = [
  list(`aber alle als also am an auch auf aus bei bin bis bist da damit dann das dass dem den denn der des die dies diese
    dieser dieses doch dort du durch ein eine einem einen einer eines er es für haben hat hier ich ihr im in ist ja jede
    kann kein keine können man mehr mit muss nach nicht noch nur ob oder ohne sehr sein seine sich sie sind so soll über um
    und uns unter vom von vor war was weil weiter wenn werden wie wieder wir wird wo zu zum zur anderen andere`),
  list(`à ai au aussi aux avec c'est ce ces cette ceux comme dans de des donc du elle elles en entre est et été être eux il
    ils je la le les leur leurs lui mais même mes moi mon ne nos notre nous on ont ou où par pas peut plus pour qu que qui
    sa sans se ses si son sont sous sur ta tout toute tous très tu un une vos votre vous y`),
  list(`al algo ante como con contra cual cuando de del desde donde durante e el ella ellas ellos en entre era es esa ese
    eso esta este esto están fue ha han hasta hay la las le les lo los más me mi muy no nos o otra otro para pero por
    porque que quien se ser si sin sobre son su sus también te tiene todo todos tu un una uno y ya`),
  list(`ai al alla anche che chi ci come con cui da dal dalla de dei del della delle di do dove e è essere fra gli ha hanno
    i il in io la le lei lo loro lui ma mi nel nella noi non o per perché più quale quando quella quello questa questo se
    si sono su sua suo tra tu tutti tutto un una uno voi`),
  list(`a ao aos as até com como da das de depois do dos e é ela elas ele eles em entre era essa esse esta este eu foi há
    isso já la mais mas me mesmo meu muito na não nas no nos o os ou para pela pelo por porque qual quando que quem se sem
    ser seu sua são também tem um uma você`),
  list(`aan al alles als bij dan dat de der deze die dit door een en er ge geen had heb heeft het hij hoe ik in is je kan
    maar me meer met mij na naar niet nog nu of om omdat onder ons ook op over te tot uit van voor want was wat we wel
    wordt worden zal ze zich zijn zo zonder`),
  list(`а без бы в вас во вот все вы да для до его ее если есть еще же за здесь и из или им их к как ко когда кто ли мне
    мы на нас не него нет но ну о об он она они от по при с со так такой там то тоже только тот ты у уже чем что чтобы
    эта эти это этот я`),
  list(`في من على إلى عن مع هذا هذه ذلك التي الذي أن إن كان كانت لا ما لم لن قد و أو ثم كل بعض هو هي هم نحن بين حتى إذا كما
    لكن عند غير أي تم يكون ولا وهو وهي`),
  list(`acaba ama aslında az bazı belki ben bir biri biz bu çok çünkü da daha de defa diye en gibi hem hep her hiç için ile
    ise kez ki kim mı mi mu mü nasıl ne neden nerede niye o olan olarak sanki şey siz şu tüm ve veya ya yani`),
]

const CHINESE_AND_JAPANESE = list(`
的 了 在 是 我 有 和 就 不 人 都 一 一个 上 也 很 到 说 要 去 你 会 着 没有 看 好 自己 这 那 与 及 或 等 被 将 对 从 以 为 而 其
可以 进行 通过 之 中 个 们 他 她 它 这个 那个 并 但 如果 因为 所以 每 每个 下 后 前 时 能 能够 则 由 于 各 又 还 只 把
の に は を た が で て と し れ さ ある いる も する から な こと として い や など なっ ない この ため その あっ よう また もの という
あり まで られ なる へ か だ これ によって により おり より による ず なり られる において です ます ました それ ので
`)

const CODE = list(`
abstract any arg args argument arguments array async await bool boolean break buffer byte bytes case catch char class code
const constructor continue data def default delete dict elif else enum err error export exports extends false field file
files final finally float fn for foo bar func function functions generic global if implements import imports include
index input instance int integer interface internal key keys lambda let list map method methods module mut name names new
nil none null number numbers object objects optional output override package param parameter parameters params pass
private property protected pub public raise readonly record ref require return returned returns self set state static str
string strings struct super switch test tests this throw throws todo fixme true try type typedef typeof types undefined
guarantees pure refused refuses unsigned usage val value values var variable variables void when where while xxx yield
`)

/** A list counts where it has at least this share of the hits of the best one. */
const MIN_SHARE = 0.4

/**
 * What to leave out for a text with these words (lower case; some hundreds are enough).
 * @param code adds the vocabulary of programming languages
 */
export const stopWordsFor = (words: Iterable<string>, code: boolean): ((word: string) => boolean) => {
  const hits = OTHERS.map(() => 0)
  let english = 0
  for (const word of words) {
    if (ENGLISH.has(word)) english += 1
    for (const [at, stops] of OTHERS.entries()) if (stops.has(word)) hits[at] = (hits[at] ?? 0) + 1
  }
  const best = Math.max(english, ...hits)
  const used = OTHERS.filter((_, at) => (hits[at] ?? 0) > 0 && (hits[at] ?? 0) >= best * MIN_SHARE)
  const lists = [ENGLISH, CHINESE_AND_JAPANESE, ...used, ...(code ? [CODE] : [])]
  return (word) => lists.some((stops) => stops.has(word))
}
