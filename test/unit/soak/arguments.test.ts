import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_MINUTES, MAX_MINUTES, parseSoakArguments } from '../../soak/arguments.ts'
import { UsageError } from '../../support/usage.ts'

const parse = (line: string) => parseSoakArguments(line === '' ? [] : line.split(' '))
const refuses = (line: string, told: RegExp) =>
  assert.throws(
    () => parse(line),
    (error) => error instanceof UsageError && told.test(error.message),
  )

test('no argument means ten minutes with any seed and no file', () => {
  assert.deepEqual(parse(''), { minutes: DEFAULT_MINUTES, seed: undefined, json: undefined })
})

test('all flags are read', () => {
  assert.deepEqual(parse('--minutes 3 --seed 0 --json out.json'), { minutes: 3, seed: 0, json: 'out.json' })
})

test('minutes are whole numbers from one to the limit', () => {
  assert.equal(parse(`--minutes ${MAX_MINUTES}`).minutes, MAX_MINUTES)
  for (const wrong of ['0', '1.5', 'x', '1e1', String(MAX_MINUTES + 1)]) refuses(`--minutes ${wrong}`, /--minutes/)
})

test('a seed is a whole number of 32 bits', () => {
  assert.equal(parse('--seed 4294967295').seed, 2 ** 32 - 1)
  for (const wrong of ['4294967296', '-1', 'abc']) refuses(`--seed=${wrong}`, /--seed/)
})

test('an unknown flag, a stray word and a flag without its value are refused with what is accepted', () => {
  for (const wrong of ['--fast', 'ten', '--json']) refuses(wrong, /accepted: --minutes/)
  refuses('--json=', /name of a file/)
})
