/** The command line of the simulator. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_JOBS, parseSimArguments } from '../../sim/arguments.ts'
import { runMembership } from '../../sim/membership.ts'
import { UsageError } from '../../support/usage.ts'

const KNOWN = [
  ['all', 'everything'],
  ['quiet', 'nothing'],
  ['membership', 'many'],
] as const
const parse = (...args: string[]) => parseSimArguments(args, KNOWN)
const refused = (message: RegExp, ...args: string[]): void =>
  assert.throws(
    () => parse(...args),
    (error) => error instanceof UsageError && message.test(error.message),
  )

test('without anything it is one seed of everything', () => {
  assert.deepEqual(parse(), {
    mode: 'scenario',
    scenario: 'all',
    first: 1,
    seeds: 1,
    steps: undefined,
    members: undefined,
    trace: false,
    jobs: undefined,
  })
})

test('a scenario, its seeds, its steps and its threads are read', () => {
  const args = parse('--scenario', 'quiet', '--seed', '7', '--seeds', '20', '--steps', '500', '--jobs', '2')
  assert.deepEqual(args, {
    mode: 'scenario',
    scenario: 'quiet',
    first: 7,
    seeds: 20,
    steps: 500,
    members: undefined,
    trace: false,
    jobs: 2,
  })
})

test('a scenario that is not known is refused with those that are, and what they show', () => {
  refused(
    /"loud" is not known; there are:\n {2}all +everything\n {2}quiet +nothing\n {2}membership +many/,
    '--scenario',
    'loud',
  )
})

test('scripts and mutants are modes of their own', () => {
  assert.deepEqual(parse('--scripts', '--rewrite', '--only', 'cut'), { mode: 'scripts', rewrite: true, only: 'cut' })
  assert.deepEqual(parse('--mutants', '--jobs', '1'), { mode: 'mutants', only: '', jobs: 1 })
})

test('what does not go together is refused', () => {
  refused(/one at a time/, '--scripts', '--mutants')
  refused(/--rewrite is for --scripts/, '--rewrite')
  refused(/--only is for/, '--only', 'x')
  refused(/--seeds is for a scenario/, '--scripts', '--seeds', '3')
  refused(/--trace is for a scenario/, '--mutants', '--trace')
  refused(/--jobs is not for --scripts/, '--scripts', '--jobs', '2')
  refused(/--members is for --scenario membership/, '--members', '10')
  refused(/--trace shows one run/, '--trace', '--seeds', '2')
})

test('numbers have bounds, at the bound and one past it', () => {
  assert.equal(parse('--jobs', String(MAX_JOBS)).mode, 'scenario')
  refused(/--jobs "17" is not a whole number from 1 to 16/, '--jobs', String(MAX_JOBS + 1))
  refused(/--jobs "0"/, '--jobs', '0')
  refused(/--steps "9"/, '--steps', '9')
  refused(/--seeds "0"/, '--seeds', '0')
  refused(/--members "1"/, '--scenario', 'membership', '--members', '1')
  refused(/accepted: --scenario/, '--sleeds', '1')
})

test('a scenario whose world is not here says so', async () => {
  const run = { members: 10, first: 1, seeds: 1, trace: false }
  const missing = new URL('./not-there.ts', import.meta.url)
  await assert.rejects(runMembership(run, missing), /run.ts is not here/)
  await assert.rejects(
    runMembership(run, new URL('../../support/usage.ts', import.meta.url)),
    /exports no runMembership/,
  )
})
