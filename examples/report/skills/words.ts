/**
 * Words and sentences of a paragraph, in any script. Pure; linear in the length.
 *
 * Where words are written apart, a word is a run of letters, digits and marks. Chinese, Japanese, Thai, Lao, Khmer and
 * Burmese runs are cut by the platform's dictionary (Intl.Segmenter, Unicode UAX 29).
 */
const RUN = /[\p{L}\p{N}\p{M}](?:[\p{L}\p{N}\p{M}_]|[-'’.](?=[\p{L}\p{N}])){0,400}/gu
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u

const words = new Intl.Segmenter('und', { granularity: 'word' })
const sentences = new Intl.Segmenter('und', { granularity: 'sentence' })

/** The dictionary's cost grows faster than its input on some texts: it is given at most this much at once. */
const CHUNK = 4096

export const isUnspaced = (text: string): boolean => UNSPACED.test(text)

const chunks = function* (text: string, size: number): Generator<string> {
  for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size)
}

/** The words as written, in order. */
export const wordsOf = function* (text: string): Generator<string> {
  const run = new RegExp(RUN)
  for (let match = run.exec(text); match !== null; match = run.exec(text)) {
    if (!isUnspaced(match[0])) {
      yield match[0].replace(/['’]s$/, '')
      continue
    }
    for (const { segment, isWordLike } of words.segment(match[0])) if (isWordLike === true) yield segment
  }
}

/** A full stop after one of these, or after a single capital letter, ends no sentence. */
const ABBREVIATION =
  /(?<![\p{L}\p{N}])(?:e\.g|i\.e|etc|vs|cf|ca|al|approx|resp|incl|fig|no|vol|pp|sec|ch|eq|dr|mr|mrs|ms|prof|st|inc|ltd|bzw|usw|z\.\s?b|d\.\s?h|mme|sr|sra)\.\s{0,20}$/iu
const INITIAL = /(?<![\p{L}\p{N}])\p{Lu}\.\s{0,20}$/u
const END = /[.!?。！？…"”’)\]:;\s]$/u

const goesOn = (text: string): boolean => {
  const tail = text.slice(-32)
  return !END.test(tail) || ABBREVIATION.test(tail) || INITIAL.test(tail)
}

/** The sentences of one paragraph; a run without an end is cut at 4,096 characters. */
export const sentencesOf = (paragraph: string): string[] => {
  const found: string[] = []
  let open = ''
  for (const chunk of chunks(paragraph, CHUNK)) {
    for (const { segment } of sentences.segment(chunk)) {
      open += segment
      if (open.length < CHUNK && goesOn(open)) continue
      found.push(open.trim())
      open = ''
    }
  }
  if (open.trim() !== '') found.push(open.trim())
  return found.filter((sentence) => sentence !== '')
}

/** At most `limit` characters, cut between words where there is a place, with an ellipsis. */
export const shorten = (text: string, limit: number): string => {
  if (text.length <= limit) return text.toWellFormed()
  const cut = text
    .slice(0, limit - 1)
    .toWellFormed()
    .replace(/\uFFFD$/u, '')
  const space = cut.lastIndexOf(' ')
  return `${(space > limit / 2 ? cut.slice(0, space) : cut).replace(/[\s,;:–-]{1,10}$/u, '')}…`
}
