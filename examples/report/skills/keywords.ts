/**
 * Keywords of one document without a corpus, after YAKE! (Campos, Mangaravite, Pasquali, Jorge, Nunes, Jatowt:
 * "YAKE! Keyword extraction from single documents using multiple local features", Information Sciences 509, 2020).
 *
 * A word counts for its case, its position, its frequency, how few different neighbours it has, and in how many
 * sentences it stands; a phrase of up to three words by the product of its words. Differences from the paper: phrases
 * hold no stop words, plural and singular are one word, a phrase must occur twice in a longer text, and of phrases with
 * the same words only the best is kept. Pure; at most 40,000 words are looked at.
 */
import type { DocumentText, Keywords } from '../contracts.ts'
import { MAX_KEYWORDS } from '../contracts.ts'
import { type Language, languageOf } from './language.ts'
import { type Paragraph, proseOf, sample, unifyLineEnds } from './prose.ts'
import { takeApart } from './source.ts'
import { stopWordsFor } from './stop-words.ts'
import { isUnspaced, sentencesOf, wordsOf } from './words.ts'

export const MAX_WORDS = 40_000
const MAX_PHRASE_WORDS = 3
const MIN_PROSE_WORDS = 30
const MAX_WORD_LENGTH = 40
/** In a text with more words than this, what occurs once is no keyword. */
const SHORT_TEXT_WORDS = 150

interface Word {
  written: string
  key: string
}

interface Term {
  frequency: number
  acronym: number
  capital: number
  /** Numbers of the sentences that it stands in, each once. */
  sentences: number[]
  left: Map<string, number>
  right: Map<string, number>
}

interface Candidate {
  keys: string[]
  written: Map<string, number>
  frequency: number
}

/** Names in code say little: of these less is read. */
const MAX_CODE = 96 * 1024

/** Hashes and data written as letters: long runs with capitals, small letters and digits mixed. */
const ENCODED = /(?=[A-Za-z+/]{0,12}\d)[A-Za-z0-9+/]{20,4000}={0,2}/g

/** `fooBarBaz` and `foo_bar` to words, so that identifiers speak. */
const splitIdentifiers = (code: string): string =>
  code.replace(/(\p{Ll})(?=\p{Lu})|(\p{Lu})(?=\p{Lu}\p{Ll})|_/gu, '$1$2 ').replace(/[^\p{L}\p{N}\s]{1,200}/gu, '. ')

/** Comments are the prose of source; where there is next to none, the names in the code speak. */
const paragraphsOf = (text: string, language: Language): Paragraph[] => {
  const prose = proseOf(text, language)
  let words = 0
  for (const { text: paragraph } of prose) words += paragraph.split(' ', MIN_PROSE_WORDS).length
  const isWritten = language.kind === 'markdown' || language.kind === 'text'
  // What programs write for programs is about nothing.
  const isGenerated = language.name === 'Lock file' || language.name === 'Source map'
  if (words >= MIN_PROSE_WORDS || isWritten || isGenerated) return prose
  const sampled = unifyLineEnds(sample(text, MAX_CODE)).replace(ENCODED, ' ')
  const rest = language.kind === 'source' ? takeApart(sampled, language).code : sampled
  return [
    ...prose,
    ...splitIdentifiers(rest)
      .split('\n')
      .map((line) => ({ text: line, heading: false })),
  ]
}

/** Numbers, versions, hashes, single letters and what is too long to be a word. */
const isNoise = (word: string): boolean =>
  word.length > MAX_WORD_LENGTH ||
  !/\p{L}/u.test(word) ||
  (word.length < 2 && !isUnspaced(word)) ||
  (word.length === 1 && /[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(word)) ||
  /\d.*\p{L}.*\d|^[\da-f]{8,}$|^\d/u.test(word)

/** Words that stand together without punctuation between them; phrases and neighbours do not reach beyond it. */
interface Fragment {
  sentence: number
  words: Word[]
}

const PUNCTUATION = /[^\p{L}\p{N}\p{M}\s'’_.-]{1,200}|[.,]\s|\s-+\s|-{2,}/u

const fragmentsIn = (paragraphs: Paragraph[]): Fragment[] => {
  const fragments: Fragment[] = []
  let sentence = 0
  let count = 0
  for (const text of paragraphs.flatMap((paragraph) => sentencesOf(paragraph.text))) {
    for (const part of text.split(PUNCTUATION)) {
      const words = Array.from(wordsOf(part), (written) => ({ written, key: written.toLowerCase() }))
      if (words.length > 0) fragments.push({ sentence, words: words.slice(0, MAX_WORDS - count) })
      count += words.length
      if (count >= MAX_WORDS) return fragments
    }
    sentence += 1
  }
  return fragments
}

/** One key for plural and singular where the text has both. */
const foldPlurals = (words: Word[]): void => {
  const keys = new Set(words.map(({ key }) => key))
  for (const word of words) {
    if (word.key.length < 4 || !word.key.endsWith('s') || word.key.endsWith('ss')) continue
    const singular = word.key.slice(0, -1)
    if (keys.has(singular)) word.key = singular
    else if (word.key.endsWith('ies') && keys.has(`${word.key.slice(0, -3)}y`)) word.key = `${word.key.slice(0, -3)}y`
  }
}

const bump = (map: Map<string, number>, key: string): void => {
  map.set(key, (map.get(key) ?? 0) + 1)
}

const newTerm = (): Term => ({ frequency: 0, acronym: 0, capital: 0, sentences: [], left: new Map(), right: new Map() })

const collectTerms = (fragments: Fragment[], isStop: (word: string) => boolean): Map<string, Term> => {
  const terms = new Map<string, Term>()
  for (const { sentence, words } of fragments) {
    for (const [at, { written, key }] of words.entries()) {
      if (isNoise(written) || isStop(key)) continue
      const term = terms.get(key) ?? newTerm()
      terms.set(key, term)
      term.frequency += 1
      if (written.length > 1 && /^[\p{Lu}\p{N}]+s?$/u.test(written)) term.acronym += 1
      else if (at > 0 && /^\p{Lu}/u.test(written)) term.capital += 1
      if (term.sentences.at(-1) !== sentence) term.sentences.push(sentence)
      const before = words[at - 1]
      const following = words[at + 1]
      if (before !== undefined) bump(term.left, before.key)
      if (following !== undefined) bump(term.right, following.key)
    }
  }
  return terms
}

const total = (map: Map<string, number>): number => {
  let sum = 0
  for (const value of map.values()) sum += value
  return sum
}

/** Share of different words among the neighbours on one side; stop-like words have many. */
const spread = (neighbours: Map<string, number>): number =>
  neighbours.size === 0 ? 0 : neighbours.size / total(neighbours)

/** S(t) of the paper for each term: the smaller, the better. */
const scoreTerms = (terms: Map<string, Term>, sentenceCount: number): Map<string, number> => {
  const frequencies = [...terms.values()].map(({ frequency }) => frequency)
  const mean = frequencies.reduce((sum, value) => sum + value, 0) / Math.max(1, frequencies.length)
  const variance = frequencies.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, frequencies.length)
  const max = frequencies.reduce((most, value) => Math.max(most, value), 1)
  const scores = new Map<string, number>()
  for (const [key, term] of terms) {
    const casing = Math.max(term.acronym, term.capital) / (1 + Math.log(term.frequency))
    const median = term.sentences[Math.floor(term.sentences.length / 2)] ?? 0
    const position = Math.log(Math.log(3 + median))
    const frequency = term.frequency / (mean + Math.sqrt(variance))
    const relatedness = 1 + (spread(term.left) + spread(term.right)) * (term.frequency / max)
    const different = term.sentences.length / sentenceCount
    scores.set(key, (relatedness * position) / (casing + frequency / relatedness + different / relatedness))
  }
  return scores
}

const collectCandidates = (fragments: Fragment[], terms: Map<string, Term>): Map<string, Candidate> => {
  const candidates = new Map<string, Candidate>()
  for (const { words } of fragments) {
    for (let start = 0; start < words.length; start += 1) {
      const phrase: Word[] = []
      for (const word of words.slice(start, start + MAX_PHRASE_WORDS)) {
        if (!terms.has(word.key) || isNoise(word.written)) break
        phrase.push(word)
        const keys = phrase.map(({ key }) => key)
        const id = keys.join(' ')
        const candidate = candidates.get(id) ?? { keys, written: new Map<string, number>(), frequency: 0 }
        candidates.set(id, candidate)
        candidate.frequency += 1
        const separator = isUnspaced(word.written) ? '' : ' '
        bump(candidate.written, phrase.map(({ written }) => written).join(separator))
      }
    }
  }
  return candidates
}

const mostWritten = (written: Map<string, number>): string => {
  let best = ''
  for (const [form, times] of written) if (times > (written.get(best) ?? 0)) best = form
  return best
}

/**
 * S(kw) of the paper, but with the logarithm of the frequency, and better for a phrase that occurs more than once: it says
 * more to a reader than a single word. Words that stood together once are hardly a phrase.
 */
const scorePhrase = ({ keys, frequency }: Candidate, scores: Map<string, number>): number => {
  let product = 1
  let sum = 0
  for (const key of keys) {
    const score = scores.get(key) ?? 1
    product *= score
    sum += score
  }
  const bonus = frequency > 1 ? keys.length : 1 / keys.length ** 2
  return product / ((1 + Math.log(frequency)) * (1 + sum) * bonus)
}

/** A phrase says nothing new where all its words, or all but one, were chosen already. */
const repeats = (keys: string[], chosen: string[][]): boolean =>
  new Set(keys).size < keys.length ||
  chosen.some((other) => {
    const shared = keys.filter((key) => other.includes(key)).length
    return shared === keys.length || shared === other.length
  })

/** The keywords of a document, best first. */
export const keywords = ({ path, text }: DocumentText): Keywords => {
  const language = languageOf(path, text)
  const fragments = fragmentsIn(paragraphsOf(text, language))
  const words = fragments.flatMap((fragment) => fragment.words)
  foldPlurals(words)
  const isStop = stopWordsFor(
    words.map(({ key }) => key),
    language.kind === 'source' || language.kind === 'data',
  )
  const terms = collectTerms(fragments, isStop)
  const scores = scoreTerms(terms, (fragments.at(-1)?.sentence ?? 0) + 1)
  const isLong = words.length > SHORT_TEXT_WORDS
  const ranked = [...collectCandidates(fragments, terms).values()]
    .filter(({ frequency, keys }) => frequency > 1 || (!isLong && keys.length < MAX_PHRASE_WORDS))
    .map((candidate) => ({ candidate, score: scorePhrase(candidate, scores), text: mostWritten(candidate.written) }))
    .sort((a, b) => a.score - b.score || (a.text < b.text ? -1 : 1))
  const chosen: string[][] = []
  const result: Keywords['keywords'] = []
  for (const { candidate, score, text: phrase } of ranked) {
    if (result.length >= MAX_KEYWORDS) break
    if (repeats(candidate.keys, chosen)) continue
    chosen.push(candidate.keys)
    result.push({ text: phrase.toWellFormed(), weight: Math.round(1e4 / (1 + Math.max(0, score))) / 1e4 })
  }
  return { keywords: result, words: words.length }
}
