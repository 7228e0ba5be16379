import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_ROUNDS, parseBenchArguments } from '../../bench/arguments.ts'
import { UsageError } from '../../support/usage.ts'

const suites = new Map([
  ['rpc', ['parley', 'nats']],
  ['events', ['parley']],
])
const parse = (line: string) => parseBenchArguments(line === '' ? [] : line.split(' '), suites)
const refuses = (line: string, told: RegExp) =>
  assert.throws(
    () => parse(line),
    (error) => error instanceof UsageError && told.test(error.message),
  )

test('no argument asks for the list of suites', () => {
  assert.equal(parse('').suite, undefined)
})

test('a suite alone runs five rounds of all its systems without a check', () => {
  const nothing = { json: undefined, systems: undefined, against: undefined }
  assert.deepEqual(parse('rpc'), { suite: 'rpc', check: false, rounds: 5, ...nothing })
})

test('all flags are read, before and after the suite', () => {
  assert.deepEqual(parse('--json out.json rpc --check --rounds 7 --systems nats,parley'), {
    suite: 'rpc',
    json: 'out.json',
    check: true,
    rounds: 7,
    systems: ['nats', 'parley'],
    against: undefined,
  })
})

test('an unknown suite is refused with the names of those that exist', () => {
  refuses('fanout', /no suite "fanout"; there are: rpc, events/)
})

test('an unknown flag, a second suite and a flag without its value are refused', () => {
  refuses('rpc --fast', /--fast/)
  refuses('rpc events', /"events" is one too many/)
  refuses('rpc --json', /--json/)
  refuses('rpc --json=', /name of a file/)
})

test('flags without a suite are refused', () => {
  refuses('--check', /name a suite: rpc, events/)
})

test('rounds are whole numbers from one to the limit', () => {
  assert.equal(parse(`rpc --rounds ${MAX_ROUNDS}`).rounds, MAX_ROUNDS)
  assert.equal(parse('rpc --rounds 1').rounds, 1)
  for (const wrong of ['0', String(MAX_ROUNDS + 1), '2.5', 'x', '1e1']) refuses(`rpc --rounds ${wrong}`, /--rounds/)
})

test('a check with fewer than five rounds is refused', () => {
  refuses('rpc --check --rounds 4', /at least 5 rounds/)
  assert.equal(parse('rpc --check --rounds 5').check, true)
})

test('a system that the suite does not measure is refused with those it measures', () => {
  refuses('events --systems nats', /"nats"; it measures: parley/)
  refuses('events --systems=', /""/)
})

test('a commit to measure against is read; with systems, with too few rounds, or without a name it is refused', () => {
  assert.equal(parse('rpc --against HEAD~2').against, 'HEAD~2')
  refuses('rpc --against HEAD --systems parley', /--systems says nothing/)
  refuses('rpc --against HEAD --rounds 4', /--against needs at least 5 rounds/)
  refuses('rpc --against=', /needs a commit/)
  refuses('--against HEAD', /name a suite/)
})
