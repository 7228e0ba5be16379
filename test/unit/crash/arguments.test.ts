import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  DEFAULT_FLIPS,
  DEFAULT_KILLS,
  DEFAULT_SLOW_SECONDS,
  DEFAULT_TASKS,
  DEFAULT_TEARS,
  MAX_KILLS,
  parseCrashArguments,
} from '../../crash/arguments.ts'
import { DISK_SCENARIOS } from '../../crash/disk/scenarios.ts'
import { MESSAGE_SCENARIOS } from '../../crash/messages/scenarios.ts'
import { SCENARIOS } from '../../crash/scenarios.ts'
import { UsageError } from '../../support/usage.ts'

const NAMES = {
  coordinator: ['kills', 'rolling'],
  disk: ['cuts-rows', 'flips-rows'],
  messages: ['kills', 'slow'],
  tasks: ['tasks-killed'],
}
const parse = (line: string) => parseCrashArguments(line === '' ? [] : line.split(' '), NAMES)
const refuses = (line: string, told: RegExp) =>
  assert.throws(
    () => parse(line),
    (error) => error instanceof UsageError && told.test(error.message),
  )

test('no argument means all scenarios of the coordinator with any seed, and no file', () => {
  assert.deepEqual(parse(''), {
    about: 'coordinator',
    kills: DEFAULT_KILLS,
    rounds: DEFAULT_KILLS,
    slowSeconds: DEFAULT_SLOW_SECONDS,
    flips: DEFAULT_FLIPS,
    tears: DEFAULT_TEARS,
    tasks: DEFAULT_TASKS,
    only: undefined,
    seed: undefined,
    json: undefined,
  })
})

test('all flags are read', () => {
  const { kills, only, seed, json } = parse('--kills 7 --only rolling --seed 0 --json out.json')
  assert.deepEqual({ kills, only, seed, json }, { kills: 7, only: 'rolling', seed: 0, json: 'out.json' })
  assert.equal(parse('--scenario rolling').only, 'rolling')
})

test('rounds, and how long a receiver is slow, mean the scenarios of messages', () => {
  const { about, rounds, only } = parse('--rounds 20 --scenario slow')
  assert.deepEqual({ about, rounds, only }, { about: 'messages', rounds: 20, only: 'slow' })
  assert.equal(parse('--slow-seconds 5').slowSeconds, 5)
  refuses('--rounds 20 --scenario rolling', /no scenario "rolling" of messages/)
  refuses('--scenario slow', /no scenario "slow" of the coordinator/)
  refuses('--rounds 20 --kills 3', /give one/)
  refuses('--only kills --scenario rolling', /give one/)
  refuses('--rounds 0', /--rounds/)
})

test('tasks mean the scenarios of tasks, whose counts may be the last line', () => {
  const { about, tasks, json } = parse('--tasks 20 --json')
  assert.deepEqual({ about, tasks, json }, { about: 'tasks', tasks: 20, json: '' })
  assert.equal(parse('--tasks 20 --json --seed 1').json, '')
  assert.equal(parse('--tasks 20 --json out.json').json, 'out.json')
  refuses('--kills 3 --json', /--json/)
  refuses('--tasks 20 --kills 3', /give one/)
})

test('flips, and how often the power goes at an operation, mean the scenarios of stores', () => {
  const { about, flips, tears, only } = parse('--flips 20 --tears 2 --scenario cuts-rows')
  assert.deepEqual({ about, flips, tears, only }, { about: 'disk', flips: 20, tears: 2, only: 'cuts-rows' })
  refuses('--flips 20 --scenario rolling', /no scenario "rolling" of stores/)
  refuses('--flips 20 --rounds 3', /give one/)
  refuses('--tears 0', /--tears/)
})

test('kills are a whole number from one to the limit', () => {
  assert.equal(parse(`--kills ${MAX_KILLS}`).kills, MAX_KILLS)
  for (const wrong of ['0', '1.5', 'x', String(MAX_KILLS + 1)]) refuses(`--kills ${wrong}`, /--kills/)
})

test('a scenario that is not there, an unknown flag and a flag without its value are refused with what is accepted', () => {
  for (const wrong of ['--only nothing', '--fast', 'kills', '--json'])
    refuses(
      wrong,
      /accepted: --kills.*kills, rolling, for messages kills, slow, for stores cuts-rows, .*, and for tasks tasks-killed/,
    )
  refuses('--json=', /name of a file/)
  refuses('--seed=-1', /--seed/)
})

test('each scenario has a name of its own', () => {
  for (const scenarios of [SCENARIOS, MESSAGE_SCENARIOS, DISK_SCENARIOS]) {
    const names = scenarios.map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
    assert.ok(names.includes('kills') || scenarios === DISK_SCENARIOS)
  }
})
