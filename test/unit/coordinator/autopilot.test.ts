/** Who should vote: each rule by a situation, and all of them by worlds in which nodes die, leave and lose their disks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { peerOf } from '../../../protocols/consensus/member-id.ts'
import { majority } from '../../../protocols/consensus/raft/quorum.ts'
import type { Configuration } from '../../../protocols/consensus/raft/raft-messages.ts'
import {
  AUTOPILOT_DEFAULTS,
  type AutopilotInput,
  type AutopilotSettings,
  advise,
  targetVoters,
} from '../../../protocols/coordinator/autopilot.ts'

const SETTINGS: AutopilotSettings = { stableMs: 10_000, replaceAfterMs: 600_000, dropLearnerAfterMs: 60_000 }

/** Peers a, b, c, …, each with the store 01 unless named with another one, as in `a.02`. */
const idOf = (name: string): string => (name.includes('.') ? name : `${name}.01`)
const idsOf = (names: string): string[] =>
  names
    .split(' ')
    .filter((name) => name !== '')
    .map(idOf)
const shown = ({ voters, learners }: Configuration): string => {
  const short = (ids: readonly string[]): string => ids.map((id) => id.replace(/\.01$/, '')).join(' ')
  return learners.length === 0 ? short(voters) : `${short(voters)} | ${short(learners)}`
}

interface Told {
  /** Milliseconds since it was heard; heard now unless told. */
  heard?: Record<string, number>
  /** As heard unless told. */
  silent?: Record<string, number>
  /** Milliseconds; long enough unless told. */
  keptUp?: Record<string, number>
  volunteers?: string
  leaving?: string
}

/** `a b | c`: a leads, a and b vote, c learns. Members that are heard volunteer unless told. */
const situation = (members: string, told: Told = {}): AutopilotInput => {
  const [voters = '', learners = ''] = members.split('|')
  const configuration = { voters: idsOf(voters), learners: idsOf(learners) }
  const of = (table: Record<string, number> | undefined, id: string): number | undefined =>
    table?.[id.replace(/\.01$/, '')]
  const heardMs = (id: string): number => of(told.heard, id) ?? 0
  const all = [...configuration.voters, ...configuration.learners].filter((id) => heardMs(id) < 40_000)
  const present = told.volunteers === undefined ? all : idsOf(told.volunteers)
  const leaving = idsOf(told.leaving ?? '')
  return {
    self: configuration.voters[0] ?? '',
    configuration,
    volunteers: [
      ...present.filter((id) => !leaving.includes(id)).map((member) => ({ member, leaving: false })),
      ...leaving.map((member) => ({ member, leaving: true })),
    ],
    lastHeardMs: heardMs,
    silentMs: (id) => of(told.silent, id) ?? heardMs(id),
    keptUpMs: (id) => of(told.keptUp, id) ?? 60_000,
  }
}

const DAY = 86_400_000
const cases: readonly [what: string, members: string, told: Told, then: string | undefined][] = [
  ['alone it stays', 'a', {}, undefined],
  ['one that comes learns, and votes not: two voters are worse than one', 'a', { volunteers: 'a b' }, 'a | b'],
  ['with a learner it stays', 'a | b', {}, undefined],
  ['the third one learns too', 'a | b', { volunteers: 'a b c' }, 'a | b c'],
  ['two that have kept up make three: the first', 'a | b c', {}, 'a b | c'],
  ['and the second', 'a b | c', {}, 'a b c'],
  ['one that has not kept up waits, and so does the other', 'a | b c', { keptUp: { c: 9_999 } }, undefined],
  ['at the very moment it counts', 'a | b c', { keptUp: { b: 10_000, c: 10_000 } }, 'a b | c'],
  ['the second waits until it has kept up', 'a b | c', { keptUp: { c: 9_999 } }, undefined],
  ['a learner that is not heard does not vote', 'a | b c', { heard: { c: 500 } }, undefined],
  ['it is heard now and then', 'a | b c', { heard: { c: 499 } }, 'a b | c'],
  [
    'nobody is put out while one that is needed then is silent',
    'a b c',
    { leaving: 'c', heard: { b: 500 } },
    undefined,
  ],
  ['three are enough for four', 'a b c | d', {}, undefined],
  ['the fourth learns, to be there', 'a b c', { volunteers: 'a b c d' }, 'a b c | d'],
  ['with five nodes another one learns', 'a b c | d', { volunteers: 'a b c d e' }, 'a b c | d e'],
  ['three to five: the first', 'a b c | d e', {}, 'a b c d | e'],
  ['three to five: the second', 'a b c d | e', {}, 'a b c d e'],
  ['five are enough for six, and the sixth learns', 'a b c d e', { volunteers: 'a b c d e f' }, 'a b c d e | f'],
  ['the seventh waits', 'a b c d e | f', { volunteers: 'a b c d e f g' }, undefined],
  ['a voter that is away stays', 'a b c | d', { heard: { c: 599_999 } }, undefined],
  ['one that is gone is replaced by who has kept up', 'a b c | d', { heard: { c: 600_000 } }, 'a b c d'],
  ['and then it goes', 'a b c d', { heard: { c: DAY } }, 'a b d'],
  ['not by who has not', 'a b c | d', { heard: { c: DAY }, keptUp: { d: 1 } }, undefined],
  ['nor by nobody: fewer copies than three are not better', 'a b c', { heard: { c: DAY } }, undefined],
  [
    'of five, one that is gone leaves an even number, and four nodes need three',
    'a b c d e',
    { heard: { e: DAY } },
    'a b c d',
  ],
  ['and the next goes as well', 'a b c d', {}, 'a b c'],
  ['of five, two that are gone go one after the other', 'a b c d e', { heard: { d: DAY, e: DAY } }, 'a b c e'],
  ['three that are well are left', 'a b c e', { heard: { e: DAY } }, 'a b c'],
  [
    'silence is counted from when this coordinator began',
    'a b c | d',
    { heard: { c: DAY }, silent: { c: 5_000 } },
    undefined,
  ],
  ['no voter is taken in while too few live', 'a b c d e | f', { heard: { b: DAY, d: 5_000, e: 5_000 } }, undefined],
  ['no voter is put out where the rest could not decide', 'a b c', { leaving: 'c', heard: { b: 5_000 } }, undefined],
  ['who gives its seat up goes', 'a b c', { leaving: 'c' }, 'a b'],
  ['two nodes need one voter', 'a b', {}, 'a'],
  ['its place is filled first', 'a b c | d', { leaving: 'c' }, 'a b c d'],
  ['who is dead goes before who is well and wants to', 'a b c d', { leaving: 'b', heard: { c: DAY } }, 'a b d'],
  ['a learner that gives its seat up goes', 'a b c | d', { leaving: 'd' }, 'a b c'],
  ['who leaves is not taken back', 'a b c', { volunteers: 'a b c', leaving: 'd' }, undefined],
  ['who was silent for a while goes first where there are too many', 'a b c d', { heard: { b: 5_000 } }, 'a c d'],
  ['the coordinator does not put itself out', 'a b', { heard: { b: 0 }, leaving: 'a', volunteers: 'b' }, 'a'],
  ['a learner that is away for a minute goes', 'a b c | d', { heard: { d: 60_000 } }, 'a b c'],
  ['not before', 'a b c | d', { heard: { d: 59_999 } }, undefined],
  [
    'a disk that was lost: its new store learns',
    'a b c',
    { heard: { c: 3_000 }, volunteers: 'a b c.02' },
    'a b c | c.02',
  ],
  [
    'takes the place of the old one at once',
    'a b c | c.02',
    { heard: { c: 12_000 }, volunteers: 'a b c.02' },
    'a b c c.02',
  ],
  ['which goes', 'a b c c.02', { heard: { c: 12_000 }, volunteers: 'a b c.02' }, 'a b c.02'],
  ['a store that is heard is not given up for another one', 'a b c', { volunteers: 'a b c.02' }, 'a b c | c.02'],
  ['nor while another one could take its place', 'a b c | d', { volunteers: 'a b c.02 d' }, undefined],
  [
    'of two offers of a peer the last one counts',
    'a b c | d.02',
    { heard: { 'd.02': 3_000 }, volunteers: 'a b c d.01 d.02' },
    undefined,
  ],
  ['a learner whose disk was lost goes', 'a b c | d', { heard: { d: 3_000 }, volunteers: 'a b c d.02' }, 'a b c'],
]

test('each rule, by a situation', async (t) => {
  for (const [what, members, told, then] of cases)
    await t.test(what, () => {
      const advice = advise(situation(members, told), SETTINGS)
      assert.equal(advice && shown(advice.configuration), then && shown(situation(then).configuration))
    })
})

test('one voter below three willing nodes, three below five, else five', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 64].map(targetVoters), [1, 1, 1, 3, 3, 5, 5, 5])
})

test('nobody is replaced within ten minutes unless told otherwise', () => {
  const away = { heard: { c: 599_999 } }
  assert.equal(advise(situation('a b c | d', away)), undefined)
  assert.equal(AUTOPILOT_DEFAULTS.replaceAfterMs, 600_000)
})

interface WorldNode {
  name: string
  /** How many disks it has had. */
  disk: number
  diedAt: number | undefined
  leaving: boolean
}
/** What becomes of a node while the world runs. */
interface Fate {
  readonly node: number
  readonly atMs: number
  readonly what: 'die' | 'return' | 'lose-disk' | 'leave'
}

const STEP_MS = 2_000
const OFFER_LASTS_MS = 40_000
const EVENTS_END_MS = 600_000
const END_MS = 2_100_000

/** Runs a world whose node 0 coordinates. @returns how it ended */
const live = (size: number, start: Configuration, fates: readonly Fate[]) => {
  const nodes: WorldNode[] = Array.from({ length: size }, (_, i) => ({
    name: String.fromCharCode(97 + i),
    disk: 1,
    diedAt: undefined,
    leaving: false,
  }))
  const memberOf = ({ name, disk }: WorldNode): string => `${name}.0${disk}`
  const offers = new Map<string, { member: string; leaving: boolean; at: number }>()
  const since = new Map([...start.voters, ...start.learners].map((id) => [id, 0]))
  let configuration = start
  let changes = 0
  let lastChangeMs = 0
  const ownerOf = (id: string): WorldNode | undefined => nodes.find((node) => memberOf(node) === id)
  /** When the store `id` was there last. */
  const lastSeen = new Map<string, number>()
  const isAlive = (id: string): boolean => ownerOf(id)?.diedAt === undefined && ownerOf(id) !== undefined
  const quorumLeft = (): boolean => configuration.voters.filter(isAlive).length >= majority(configuration.voters.length)

  for (let now = 0; now < END_MS; now += STEP_MS) {
    for (const { node: i, what } of fates.filter(({ atMs }) => atMs === now)) {
      const node = nodes[i]
      if (node === undefined || i === 0) continue
      const before = { ...node }
      if (what === 'die') node.diedAt ??= now
      if (what === 'return') node.diedAt = undefined
      if (what === 'leave') node.leaving = true
      if (what === 'lose-disk' && node.disk < 9) node.disk += 1
      // Without a majority nothing is decided, and there is nothing to be seen.
      if (!quorumLeft()) Object.assign(node, before)
    }
    for (const node of nodes) {
      if (node.diedAt !== undefined) continue
      lastSeen.set(memberOf(node), now)
      offers.set(node.name, { member: memberOf(node), leaving: node.leaving, at: now })
    }
    for (const [name, { at }] of offers) if (now - at > OFFER_LASTS_MS) offers.delete(name)
    const heardMs = (id: string): number => (since.has(id) ? now - (lastSeen.get(id) ?? -DAY) : Infinity)
    const advice = advise(
      {
        self: 'a.01',
        configuration,
        volunteers: [...offers.values()],
        lastHeardMs: heardMs,
        silentMs: (id) => Math.min(heardMs(id), now - (since.get(id) ?? now)),
        keptUpMs: (id) => (isAlive(id) ? now - (since.get(id) ?? now) : 0),
      },
      SETTINGS,
    )
    if (advice === undefined) continue
    changes += 1
    lastChangeMs = now
    const { voters, learners } = advice.configuration
    const apart = [...voters, ...configuration.voters].filter(
      (id) => !voters.includes(id) || !configuration.voters.includes(id),
    )
    assert.ok(apart.length <= 1, `${shown(configuration)} to ${shown(advice.configuration)}`)
    assert.ok(
      voters.filter(isAlive).length >= majority(voters.length),
      `too few live of ${shown(advice.configuration)}`,
    )
    assert.ok(voters.includes('a.01'))
    assert.equal(new Set([...voters, ...learners]).size, voters.length + learners.length)
    assert.ok(voters.length <= 6 || voters.length < configuration.voters.length)
    assert.ok(learners.length <= 7)
    for (const id of [...voters, ...learners]) if (!since.has(id)) since.set(id, now)
    for (const id of since.keys()) if (![...voters, ...learners].includes(id)) since.delete(id)
    configuration = advice.configuration
  }
  const living = nodes.filter((node) => node.diedAt === undefined && !node.leaving)
  return { configuration, changes, lastChangeMs, living: living.map(memberOf), isAlive }
}

test('from any situation it comes to rest, with the voters that there should be', () => {
  const world = fc
    .record({
      size: fc.integer({ min: 1, max: 7 }),
      roles: fc.array(fc.constantFrom('voter', 'voter', 'learner', 'none'), { minLength: 7, maxLength: 7 }),
      fates: fc.array(
        fc.record({
          node: fc.nat(6),
          atMs: fc.nat(EVENTS_END_MS / STEP_MS).map((n) => n * STEP_MS),
          what: fc.constantFrom('die', 'die', 'return', 'lose-disk', 'leave'),
        }),
        { maxLength: 12 },
      ),
    })
    .map(({ size, roles, fates }) => {
      const members = Array.from({ length: size }, (_, i) => `${String.fromCharCode(97 + i)}.01`)
      const start: Configuration = {
        voters: members.filter((_, i) => i === 0 || roles[i] === 'voter'),
        learners: members.filter((_, i) => i !== 0 && roles[i] === 'learner'),
      }
      return { size, start, fates: fates as Fate[] }
    })
  fc.assert(
    fc.property(world, ({ size, start, fates }) => {
      const { configuration, changes, lastChangeMs, living, isAlive } = live(size, start, fates)
      const { voters } = configuration
      assert.ok(changes <= 12 + 8 * fates.length + 4 * size, `${changes} changes`)
      assert.ok(lastChangeMs < END_MS - 300_000, `it changed yet after ${lastChangeMs / 1_000} s`)
      const votersAlive = voters.filter(isAlive)
      assert.ok(
        votersAlive.every((id) => living.includes(id)),
        'who gave its seat up has none',
      )
      const target = targetVoters(living.length)
      if (voters.length === votersAlive.length) assert.equal(voters.length, target, shown(configuration))
      else {
        // Only where nobody is left to take its place does one that is gone keep it.
        assert.equal(voters.length, 3, shown(configuration))
        assert.equal(votersAlive.length, living.length, shown(configuration))
      }
      assert.equal(new Set(voters.map(peerOf)).size, voters.length, 'a peer votes once')
    }),
    { numRuns: 80 },
  )
})
