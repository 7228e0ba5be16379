/**
 * Extractive summary by TextRank (Mihalcea, Tarau: "TextRank: Bringing Order into Texts", EMNLP 2004, section 4).
 *
 * Sentences are nodes; an edge weighs the words that two sentences share over the logarithms of their lengths; the rank
 * is found by power iteration with d = 0.85. Differences: the rank is weighed by position (authors say at the beginning
 * what a document is about), and sentences that are lists of signs or longer than a reader likes count for less.
 * Pure and deterministic. Of a document with more than 240 sentences half of these are its first, half are spread
 * evenly over the rest: the cost grows with the square.
 */
import type { DocumentText, Summary } from '../contracts.ts'
import { MAX_SENTENCES } from '../contracts.ts'
import { languageOf } from './language.ts'
import { proseOf } from './prose.ts'
import { stopWordsFor } from './stop-words.ts'
import { isUnspaced, sentencesOf, shorten, wordsOf } from './words.ts'

export const MAX_RANKED = 240
const SENTENCES = 3
const DAMPING = 0.85
const ITERATIONS = 40
const ENOUGH = 1e-6
/** The first sentence counts for 1 + this, one far below for 1; it halves every so many sentences. */
const HEAD_BONUS = 2
const HEAD_HALVES_AFTER = 3
/** Share of letters, digits and spaces in ordinary prose, and where a sentence is no prose at all. */
const PROSE_SHARE = 0.93
const SIGNS_SHARE = 0.8
const MAX_PLEASANT_WORDS = 35
const MIN_WORDS = 5
const MAX_WORDS_COMPARED = 60
const MAX_LENGTH = 320
/** Two chosen sentences that share more than this of their words say the same. */
const MAX_OVERLAP = 0.6

interface Sentence {
  text: string
  position: number
  /** Words that are no stop words, each once. */
  words: Set<string>
  /** All words. */
  length: number
}

const spreadOver = <T>(items: T[], limit: number): T[] => {
  if (items.length <= limit) return items
  const head = Math.floor(limit / 2)
  const rest = items.length - head
  const picked = Array.from({ length: limit - head }, (_, at) => items[head + Math.floor((at * rest) / (limit - head))])
  return [...items.slice(0, head), ...picked.filter((item) => item !== undefined)]
}

/** A Chinese or Japanese sentence has fewer, longer-meaning words. */
const isSentence = ({ text, length }: Sentence): boolean =>
  length >= (isUnspaced(text) ? 3 : MIN_WORDS) && text.length >= (isUnspaced(text) ? 8 : 20)

const readSentences = (paragraphs: { text: string }[]): { found: number; sentences: Sentence[] } => {
  const texts = paragraphs.flatMap(({ text }) => sentencesOf(text))
  const kept = spreadOver(
    texts.map((text, position) => ({ text, position })),
    MAX_RANKED,
  )
  const tokens = kept.map(({ text }) => [...wordsOf(text.slice(0, 2000))].map((word) => word.toLowerCase()))
  const isStop = stopWordsFor(tokens.flat(), false)
  const sentences = kept.map(({ text, position }, at) => {
    const all = tokens[at] ?? []
    const words = new Set(all.filter((word) => !isStop(word)).slice(0, MAX_WORDS_COMPARED))
    return { text, position, words, length: all.length }
  })
  return { found: texts.length, sentences }
}

const shared = (a: Set<string>, b: Set<string>): number => {
  const [small, large] = a.size < b.size ? [a, b] : [b, a]
  let count = 0
  for (const word of small) if (large.has(word)) count += 1
  return count
}

/** Similarity of the paper: shared words over log length plus log length. */
const similarity = (a: Sentence, b: Sentence): number => {
  const words = shared(a.words, b.words)
  const scale = Math.log(a.words.size) + Math.log(b.words.size)
  return words === 0 || scale <= 0 ? 0 : words / scale
}

const weights = (sentences: Sentence[]): Float64Array[] => {
  const rows = sentences.map(() => new Float64Array(sentences.length))
  for (const [i, a] of sentences.entries()) {
    for (let j = i + 1; j < sentences.length; j += 1) {
      const b = sentences[j]
      if (b === undefined) continue
      const weight = similarity(a, b)
      const row = rows[i]
      const column = rows[j]
      if (row !== undefined) row[j] = weight
      if (column !== undefined) column[i] = weight
    }
  }
  return rows
}

/** Ranks that sum to about 1; a sentence without an edge keeps its restart only. */
const rank = (rows: Float64Array[]): number[] => {
  const home = rows.map(() => 1 / rows.length)
  const outgoing = rows.map((row) => row.reduce((sum, value) => sum + value, 0))
  let ranks = home
  for (let round = 0; round < ITERATIONS; round += 1) {
    const shares = ranks.map((value, at) => value / (outgoing[at] || 1))
    const next = rows.map((row, i) => {
      let incoming = 0
      for (let j = 0; j < row.length; j += 1) incoming += (row[j] ?? 0) * (shares[j] ?? 0)
      return (1 - DAMPING) * (home[i] ?? 0) + DAMPING * incoming
    })
    const change = next.reduce((sum, value, at) => sum + Math.abs(value - (ranks[at] ?? 0)), 0)
    ranks = next
    if (change < ENOUGH) break
  }
  return ranks
}

const prose = (text: string): number => {
  const words = text.match(/[\p{L}\p{N}\p{M}\s]/gu)?.length ?? 0
  const share = words / Math.max(1, [...text].length)
  return Math.min(1, Math.max(0.05, (share - SIGNS_SHARE) / (PROSE_SHARE - SIGNS_SHARE)))
}

/** How much of its rank a sentence keeps. */
const merit = ({ text, position, length }: Sentence): number =>
  (1 + HEAD_BONUS * 0.5 ** (position / HEAD_HALVES_AFTER)) *
  prose(text.slice(0, 2000)) *
  Math.min(1, MAX_PLEASANT_WORDS / Math.max(1, length))

interface Ranked {
  sentence: Sentence
  weight: number
}

/** @param lead what is chosen in any case */
const choose = (ranked: Ranked[], count: number, lead: Ranked[]): Ranked[] => {
  const order = [...ranked].sort((a, b) => b.weight - a.weight || a.sentence.position - b.sentence.position)
  const chosen = [...lead]
  for (const next of order) {
    if (chosen.length >= count) break
    const same = chosen.some(({ sentence }) => {
      const smaller = Math.min(sentence.words.size, next.sentence.words.size)
      return shared(sentence.words, next.sentence.words) > MAX_OVERLAP * Math.max(1, smaller)
    })
    if (!same) chosen.push(next)
  }
  return chosen.sort((a, b) => a.sentence.position - b.sentence.position)
}

/**
 * The sentences of a document that say most of what it says, in its order.
 * @param count 1 to 5
 */
export const summary = ({ path, text }: DocumentText, count = SENTENCES): Summary => {
  const language = languageOf(path, text)
  const paragraphs = proseOf(text, language).filter(({ heading }) => !heading)
  const { found, sentences } = readSentences(paragraphs)
  const full = sentences.filter(isSentence)
  // A document of fragments is summed up by its fragments.
  const candidates = full.length > 0 ? full : sentences.slice(0, count)
  const ranks = rank(weights(candidates))
  const ranked = candidates.map((sentence, at) => ({ sentence, weight: (ranks[at] ?? 0) * merit(sentence) }))
  // The first comment of source says what the file is.
  const lead = language.kind === 'source' ? ranked.slice(0, 1) : []
  const chosen = choose(ranked, Math.min(count, MAX_SENTENCES), lead)
  return {
    sentences: chosen.map(({ sentence, weight }) => ({
      text: shorten(sentence.text, MAX_LENGTH),
      weight: Math.min(1, Math.round(weight * 1e4) / 1e4),
    })),
    found,
    ranked: candidates.length,
  }
}
