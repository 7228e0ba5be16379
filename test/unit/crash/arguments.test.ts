import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_KILLS, MAX_KILLS, parseCrashArguments } from '../../crash/arguments.ts'
import { SCENARIOS } from '../../crash/scenarios.ts'
import { UsageError } from '../../support/usage.ts'

const NAMES = ['kills', 'rolling']
const parse = (line: string) => parseCrashArguments(line === '' ? [] : line.split(' '), NAMES)
const refuses = (line: string, told: RegExp) =>
  assert.throws(
    () => parse(line),
    (error) => error instanceof UsageError && told.test(error.message),
  )

test('no argument means all scenarios with any seed, and no file', () => {
  assert.deepEqual(parse(''), { kills: DEFAULT_KILLS, only: undefined, seed: undefined, json: undefined })
})

test('all flags are read', () => {
  const read = parse('--kills 7 --only rolling --seed 0 --json out.json')
  assert.deepEqual(read, { kills: 7, only: 'rolling', seed: 0, json: 'out.json' })
})

test('kills are a whole number from one to the limit', () => {
  assert.equal(parse(`--kills ${MAX_KILLS}`).kills, MAX_KILLS)
  for (const wrong of ['0', '1.5', 'x', String(MAX_KILLS + 1)]) refuses(`--kills ${wrong}`, /--kills/)
})

test('a scenario that is not there, an unknown flag and a flag without its value are refused with what is accepted', () => {
  for (const wrong of ['--only nothing', '--fast', 'kills', '--json'])
    refuses(wrong, /accepted: --kills.*kills, rolling/)
  refuses('--json=', /name of a file/)
  refuses('--seed=-1', /--seed/)
})

test('each scenario has a name of its own', () => {
  const names = SCENARIOS.map(({ name }) => name)
  assert.equal(new Set(names).size, names.length)
  assert.ok(names.includes('kills'))
})
