/** What a coordinator does for the seats: offers, who keeps up, one change at a time, the level. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Configuration } from '../../../protocols/consensus/raft/raft-messages.ts'
import { AUTOPILOT_DEFAULTS } from '../../../protocols/coordinator/autopilot.ts'
import { createVoterSelection, MAX_VOTER_OFFERS } from '../../../protocols/coordinator/voter-selection.ts'
import type { JournalMember } from '../../../protocols/journal/journal-server.ts'
import { BUILT_IN_KINDS } from '../../../protocols/journal/state/built-in-kinds.ts'
import { decodeLoggedCommand } from '../../../protocols/journal/state/command-kind.ts'
import { createJournalMachine } from '../../../protocols/journal/state/journal-machine.ts'

const SELF = 'self.01'
const offer = (member: string, more: { level?: number; leaving?: boolean } = {}) => ({
  member,
  level: 1,
  leaving: false,
  ...more,
})

/** A coordinator alone with its machine; its Raft and the clock are what the test says. */
const create = (level = 1) => {
  const world = {
    nowMs: 1_000_000,
    configuration: { voters: [SELF], learners: [] } as Configuration,
    configurationIndex: 1,
    commit: 100,
    /** By member: when it was heard, and how far it is. */
    heardAt: new Map<string, number>(),
    match: new Map<string, number>(),
    changes: [] as Configuration[],
    proposed: [] as ReturnType<typeof decodeLoggedCommand>[],
    /** Resolves what is on its way. */
    decide: [] as ((error?: Error) => void)[],
    logs: [] as string[],
  }
  const machine = createJournalMachine(new Map(BUILT_IN_KINDS.map((kind) => [kind.name, kind])))
  const later = (): Promise<void> =>
    new Promise((resolve, reject) => world.decide.push((error) => (error ? reject(error) : resolve())))
  const group = {
    self: SELF,
    status: () => ({
      configuration: world.configuration,
      configurationIndex: world.configurationIndex,
      commit: world.commit,
      term: 3,
    }),
    silentMs: (id: string) => {
      const at = world.heardAt.get(id)
      return at === undefined ? undefined : world.nowMs - at
    },
    matchOf: (id: string) => world.match.get(id) ?? 0,
    change(configuration: Configuration) {
      world.changes.push(configuration)
      return later()
    },
    propose(bytes: Uint8Array) {
      world.proposed.push(decodeLoggedCommand(bytes))
      return later()
    },
  }
  // Seats ask nothing else of a seat.
  const seat = { meshId: 'm', group, machine, clock: { now: () => world.nowMs } } as unknown as JournalMember
  const seats = createVoterSelection(
    {
      self: { id: 'self', name: 'self', mesh: 'test', incarnation: 1 },
      clock: { now: () => world.nowMs, monotonic: () => world.nowMs },
      log: { error: () => {}, warn: () => {}, info: (message) => world.logs.push(message) },
    },
    AUTOPILOT_DEFAULTS,
    level,
  )
  seats.reset()
  return {
    world,
    machine,
    seats,
    /** Looks each half second, with these heard and as far as the log, and these offering. */
    async run(ms: number, heard: readonly string[] = [], offering: readonly string[] = heard): Promise<void> {
      for (const endMs = world.nowMs + ms; world.nowMs < endMs; ) {
        world.nowMs += 500
        for (const id of heard) {
          world.heardAt.set(id, world.nowMs)
          world.match.set(id, world.commit)
        }
        for (const id of offering) seats.addOffer(offer(id), world.configuration)
        void seats.advance(seat)
        const changed = world.changes.at(-1)
        const done = world.decide.shift()
        done?.()
        if (changed !== undefined && done !== undefined) world.configuration = changed
        await new Promise<void>((resolve) => setImmediate(resolve))
      }
    },
    steer: () => seats.advance(seat),
  }
}

test('so many peers may offer a seat, one more is told that there are enough, and an old offer makes room', async () => {
  const { seats, world, run } = create()
  for (let i = 0; i < MAX_VOTER_OFFERS; i += 1)
    assert.equal(seats.addOffer(offer(`p${i}.01`), world.configuration), false)
  assert.equal(seats.addOffer(offer('late.01'), world.configuration), true)
  assert.equal(seats.addOffer(offer('p7.02'), world.configuration), false, 'another store of a peer that offered')
  assert.deepEqual(seats.counts(), { offers: MAX_VOTER_OFFERS, refused: 1 })
  await run(41_000)
  assert.deepEqual(seats.counts().offers, 0)
  assert.equal(seats.addOffer(offer('late.01'), world.configuration), false)
})

test('where there are enough, those with a seat go on offering it as before', () => {
  const { seats } = create()
  const full = { voters: ['a.01', 'b.01', 'c.01', 'd.01', 'e.01'], learners: ['f.01'] }
  assert.deepEqual(
    ['g.01', 'a.01', 'f.01', 'a.02'].map((member) => seats.addOffer(offer(member), full)),
    [true, false, false, true],
  )
})

test('one change is on its way at a time, also where the last one is not committed', async () => {
  const { seats, world, steer } = create()
  seats.addOffer(offer('a.01'), world.configuration)
  world.configurationIndex = world.commit + 1
  await steer()
  assert.equal(world.changes.length, 0)
  world.configurationIndex = 1
  const first = steer()
  await steer()
  await steer()
  assert.deepEqual(world.changes, [{ voters: [SELF], learners: ['a.01'] }])
  world.decide[0]?.(new Error('superseded'))
  await first
  assert.ok(world.logs.some((message) => /could not be changed/.test(message)))
  void steer()
  assert.equal(world.changes.length, 2, 'it tries again')
})

test('a learner that has nothing yet does not keep up, however short the log', async () => {
  const { world, run } = create()
  world.configuration = { voters: [SELF], learners: ['a.01', 'b.01'] }
  for (let i = 0; i < 30; i += 1) {
    for (const id of ['a.01', 'b.01']) world.heardAt.set(id, world.nowMs)
    await run(500, [], ['a.01', 'b.01'])
  }
  assert.deepEqual(world.changes, [])
  await run(9_500, ['a.01', 'b.01'])
  assert.deepEqual(world.changes, [], 'not before it has kept up for long enough')
  await run(1_500, ['a.01', 'b.01'])
  assert.deepEqual(world.configuration.voters.length, 3)
})

test('a learner that falls behind, or is not heard for a moment, begins again', async () => {
  const { world, run } = create()
  world.configuration = { voters: [SELF], learners: ['a.01', 'b.01'] }
  await run(8_000, ['a.01', 'b.01'])
  await run(2_000, ['a.01'], ['a.01', 'b.01'])
  await run(8_000, ['a.01', 'b.01'])
  assert.deepEqual(world.changes, [])
  world.commit = 500
  await run(1_000, ['a.01'], ['a.01', 'b.01'])
  world.heardAt.set('b.01', world.nowMs)
  await run(1_000, ['a.01'], ['a.01', 'b.01'])
  await run(9_000, ['a.01', 'b.01'])
  assert.deepEqual(world.changes, [])
  await run(3_000, ['a.01', 'b.01'])
  assert.equal(world.configuration.voters.length, 3)
})

test('one that was silent before this coordinator began is silent from then on', async () => {
  const { world, run, seats } = create()
  world.configuration = { voters: [SELF, 'a.01', 'b.01'], learners: ['c.01'] }
  world.heardAt.set('b.01', world.nowMs - 3_600_000)
  seats.reset()
  await run(599_000, ['a.01', 'c.01'])
  assert.deepEqual(world.changes, [])
  await run(3_000, ['a.01', 'c.01'])
  assert.deepEqual([...world.configuration.voters].sort(), ['a.01', 'c.01', SELF])
})

test('a learner is silent from when it has its seat, not from when this coordinator began', async () => {
  const { world, run } = create()
  await run(600_000)
  world.configuration = { voters: [SELF], learners: ['a.01'] }
  await run(59_000)
  assert.deepEqual(world.changes, [])
  await run(3_000)
  assert.deepEqual(world.configuration.learners, [])
})

test('the level rises to what all voters have said of the stores that vote, and once', async () => {
  const { world, seats, steer, machine } = create(5)
  world.configuration = { voters: [SELF, 'a.01', 'b.01'], learners: [] }
  for (const id of ['a.01', 'b.01']) world.heardAt.set(id, world.nowMs)
  await steer()
  assert.equal(world.proposed.length, 0, 'nobody else has said')
  seats.addOffer(offer('a.01', { level: 3 }), world.configuration)
  seats.addOffer(offer('b.02', { level: 4 }), world.configuration)
  world.configuration = { ...world.configuration, learners: ['b.02'] }
  world.heardAt.set('b.02', world.nowMs)
  await steer()
  assert.equal(world.proposed.length, 0, 'another store says nothing of this one')
  seats.addOffer(offer('b.01', { level: 4 }), world.configuration)
  void steer()
  assert.deepEqual(
    world.proposed.map(({ kind, input }) => [kind, input]),
    [['journal.level', { level: 3 }]],
  )
  machine.apply(new TextEncoder().encode(JSON.stringify(world.proposed[0])), { index: 9, term: 3 })
  world.decide[0]?.()
  await new Promise<void>((resolve) => setImmediate(resolve))
  await steer()
  assert.equal(world.proposed.length, 1)
})
