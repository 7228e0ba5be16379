import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../protocols/errors.ts'
import { checkTopic, compilePattern, firstWord, isOpen, MAX_TOPIC_LENGTH } from '../../../protocols/events/topic.ts'

const refused = (fn: () => unknown): void => {
  assert.throws(fn, (error) => isParleyError(error, 'MSG001') && error.hint !== undefined)
}

/** The rule, as one would say it. */
const naive = (pattern: string[], topic: string[]): boolean => {
  const [word, ...rest] = pattern
  if (word === undefined) return topic.length === 0
  if (word === '#') return true
  return topic.length > 0 && (word === '*' || word === topic[0]) && naive(rest, topic.slice(1))
}

const word = fc.constantFrom('a', 'b', 'ab', 'a-b', 'A1')
const words = fc.array(word, { minLength: 1, maxLength: 5 })
const patterns = fc
  .tuple(fc.array(fc.oneof(word, fc.constant('*')), { maxLength: 5 }), fc.boolean())
  .map(([head, rest]) => (rest ? [...head, '#'] : head))
  .filter((pattern) => pattern.length > 0)

test('a compiled pattern matches what the rule matches, word by word', () => {
  fc.assert(
    fc.property(patterns, words, (pattern, topic) => {
      assert.equal(compilePattern(pattern.join('.'))(topic.join('.')), naive(pattern, topic))
    }),
    { numRuns: 5000 },
  )
})

test('the rest may be empty, a single word may not', () => {
  assert.equal(compilePattern('tasks.#')('tasks'), true)
  assert.equal(compilePattern('tasks.*')('tasks'), false)
  assert.equal(compilePattern('tasks.*')('tasks.a.b'), false)
  assert.equal(compilePattern('tasks.#')('tasksuite.a'), false)
  assert.equal(compilePattern('#')('tasks.a.b'), true)
})

test('topics of the catalogue are accepted, also with ids of other scripts', () => {
  for (const topic of [
    'tasks.submit',
    'task.events.default',
    'tasks.status.0190-ab_c',
    'agents',
    'tasks.status.задача',
  ]) {
    checkTopic(topic)
    assert.equal(compilePattern(topic)(topic), true)
  }
})

test('topics that cannot be told apart, sent or counted are refused', () => {
  const bad = [
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a b',
    'a.b c',
    'a.\u0000',
    'a.\n',
    'a.*',
    'a.#',
    '*',
    'Ünder.x',
    'a.\ud800',
  ]
  for (const topic of bad) refused(() => checkTopic(topic))
  refused(() => checkTopic('a'.repeat(65)))
  // From a caller without types.
  refused(() => checkTopic(undefined as unknown as string))
})

test('a topic has at most 256 characters and 16 words', () => {
  const long = `a.${'b'.repeat(126)}.${'c'.repeat(127)}`
  assert.equal(long.length, MAX_TOPIC_LENGTH)
  checkTopic(long)
  refused(() => checkTopic(`${long}c`))
  checkTopic(Array.from({ length: 16 }, () => 'a').join('.'))
  refused(() => checkTopic(Array.from({ length: 17 }, () => 'a').join('.')))
})

test('a wildcard stands for whole words, and # only at the end', () => {
  for (const pattern of ['a*', 'a.*b', '#.a', 'a.#.b', '##', 'a.##', '', 'a..*']) refused(() => compilePattern(pattern))
})

test('a pattern is open when its first word is a wildcard', () => {
  assert.deepEqual(['#', '*', '*.status', 'a.*', 'a.#', 'a'].map(isOpen), [true, true, true, false, false, false])
  assert.equal(firstWord('tasks.status.1'), 'tasks')
  assert.equal(firstWord('tasks'), 'tasks')
})
