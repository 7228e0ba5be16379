/**
 * Topic names and patterns: dots separate words; in a pattern `*` stands for one word and a last `#` for the rest, which
 * may be empty (`tasks.#` hears `tasks` as well).
 *
 * Pure. The first word names the gossip topic, so it is kept to letters that go through gossipsub and metrics unharmed.
 */
import { ParleyError } from '../errors.ts'

export const MAX_TOPIC_LENGTH = 256
export const MAX_TOPIC_WORDS = 16

const FIRST_WORD = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
const WORD = /^[^\s.*#\p{Cc}\p{Cs}]{1,128}$/u

export type Matcher = (topic: string) => boolean

const shown = (text: unknown): string => JSON.stringify(typeof text === 'string' ? text.slice(0, 80) : String(text))

const refuse = (kind: string, text: string, why: string): ParleyError =>
  new ParleyError('MSG001', `${kind} ${shown(text)} is not usable: ${why}`, {
    hint: 'use words separated by dots, as in tasks.status.42; the first of letters, digits, _ and -; no spaces',
  })

const wordsOf = (kind: string, text: string): string[] => {
  if (typeof text !== 'string' || text.length === 0) throw refuse(kind, text, 'it is empty')
  if (text.length > MAX_TOPIC_LENGTH) {
    throw refuse(kind, text, `${text.length} characters, at most ${MAX_TOPIC_LENGTH}`)
  }
  const words = text.split('.')
  if (words.length > MAX_TOPIC_WORDS) throw refuse(kind, text, `${words.length} words, at most ${MAX_TOPIC_WORDS}`)
  return words
}

const checkWord = (kind: string, text: string, word: string, index: number): void => {
  if (index === 0 ? FIRST_WORD.test(word) : WORD.test(word)) return
  const wild = word.includes('*') || word.includes('#')
  const why = wild && kind === 'topic' ? 'wildcards are for subscriptions' : `word ${index + 1} is ${shown(word)}`
  throw refuse(kind, text, why)
}

/** True for a first word as it may appear in the name of a gossip topic. */
export const isFirstWord = (word: string): boolean => FIRST_WORD.test(word)

/**
 * Checks the name of a topic to publish to.
 * @throws MSG001
 */
export const checkTopic = (topic: string): void => {
  wordsOf('topic', topic).forEach((word, index) => {
    checkWord('topic', topic, word, index)
  })
}

/** The word before the first dot. */
export const firstWord = (topic: string): string => {
  const dot = topic.indexOf('.')
  return dot === -1 ? topic : topic.slice(0, dot)
}

/** True for a pattern that names no first word and so listens to all of them. */
export const isOpen = (pattern: string): boolean => {
  const word = firstWord(pattern)
  return word === '*' || word === '#'
}

export const isPattern = (text: string): boolean => text.includes('*') || text.includes('#')

/** Walks the topic word by word without taking it apart, so that a match allocates nothing. */
const walk =
  (words: readonly string[], rest: boolean): Matcher =>
  (topic) => {
    let at = 0
    for (const word of words) {
      if (at > topic.length) return false
      const dot = topic.indexOf('.', at)
      const end = dot === -1 ? topic.length : dot
      if (word !== '*' && (end - at !== word.length || !topic.startsWith(word, at))) return false
      at = end + 1
    }
    return rest || at > topic.length
  }

/**
 * Turns a pattern into a test for valid topic names.
 * @throws MSG001 for a pattern that is empty, too long, or has a wildcard inside a word or a `#` before the end
 */
export const compilePattern = (pattern: string): Matcher => {
  const words = wordsOf('pattern', pattern)
  const rest = words.at(-1) === '#'
  if (rest) words.pop()
  words.forEach((word, index) => {
    if (word === '#') throw refuse('pattern', pattern, '# may only be the last word')
    if (word !== '*') checkWord('pattern', pattern, word, index)
  })
  if (words.length === 0) return () => true
  if (words.includes('*')) return walk(words, rest)
  const exact = words.join('.')
  if (!rest) return (topic) => topic === exact
  const start = `${exact}.`
  return (topic) => topic.startsWith(start) || topic === exact
}
