/** A member's side of the journal: who is told what while it follows, and what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import type { RaftStatus } from '../../../protocols/consensus/raft/raft.ts'
import type { Handlers } from '../../../protocols/define.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { journalProtocol } from '../../../protocols/journal/contract.ts'
import { type JournalMember, serveJournal } from '../../../protocols/journal/journal-server.ts'
import { BUILT_IN_KINDS } from '../../../protocols/journal/state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from '../../../protocols/journal/state/command-kind.ts'
import { createJournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { MAX_CHANGES } from '../../../protocols/journal/state/recent-changes.ts'
import { savedRows, snapshotOf } from '../../support/saved-rows.ts'

const SELF = 'self.01'
type Served = Handlers<typeof journalProtocol>
type Context = Parameters<Served['follow']>[1]

/** A member whose Raft is what the test says, with a machine of its own. */
const create = async () => {
  const time = createVirtualTime()
  const kinds = new Map(BUILT_IN_KINDS.map((kind) => [kind.name, kind]))
  const machine = createJournalMachine(kinds)
  const status = {
    role: 'leader' as RaftStatus['role'],
    leader: SELF as string | undefined,
    term: 1,
    configuration: { voters: [SELF], learners: [] as string[] },
  }
  const heard = { silentMs: 0 }
  const counted = new Map<string, number>()
  const group = {
    self: SELF,
    status: () => status,
    silentMs: () => heard.silentMs,
    applied: () => machine.version(),
    readable: () => Promise.resolve(machine.version()),
  }
  // Serving asks nothing else of a group.
  const clock = { now: () => 1_000 + time.now(), monotonic: time.now }
  const seat = { meshId: 'm', group, machine, clock } as unknown as JournalMember
  let current: JournalMember | undefined = seat
  let served: Served | undefined
  await serveJournal({
    port: {
      self: { id: 'self', name: 'self', mesh: 'test', incarnation: 1 },
      clock,
      timers: time,
      metrics: {
        counter:
          (name) =>
          (labels, by = 1) => {
            const key = `${name} ${labels?.code}`
            counted.set(key, (counted.get(key) ?? 0) + by)
          },
        histogram: () => () => {},
        gauge: () => {},
      },
      serve: async (_, handlers) => {
        served = handlers as unknown as Served
        return async () => {}
      },
    },
    kinds,
    member: () => current,
  })
  if (served === undefined) throw new Error('nothing is served')
  const handlers = served
  const context = { signal: new AbortController().signal, peer: 'guest' } as Context
  let index = 0
  const apply = (kind: string, input: Json): void => {
    index += 1
    const command = { kind, session: 0, serial: 0, acked: 0, at: index, by: 'guest', input }
    machine.apply(encodeLoggedCommand(command), { index, term: 1 })
  }
  return {
    time,
    machine,
    status,
    heard,
    handlers,
    counted,
    context,
    apply,
    put: (key: string, value: Json = 1) => apply('record.put', { key, value }),
    lose: () => {
      current = undefined
    },
    follow: (from?: number, prefix = '', signal = context.signal) =>
      handlers
        .follow({ meshId: 'm', prefix, ...(from !== undefined && { from }) }, { ...context, signal })
        [Symbol.asyncIterator](),
  }
}
const reasonOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (isParleyError(error) ? error.details.reason : error),
  )

test('a follower that reads slowly is given the changes, and the whole again where these are forgotten', async () => {
  const { put, follow, time } = await create()
  put('a')
  const following = follow()
  const first = (await following.next()).value
  assert.deepEqual([first.type, first.version], ['records', 1])
  for (let i = 0; i < 600; i += 1) put(`k${i}`)
  const some = (await following.next()).value
  assert.deepEqual([some.type, some.changes.length, some.version], ['changes', 500, 501])
  for (let i = 0; i <= MAX_CHANGES; i += 1) put('b', i)
  const whole = (await following.next()).value
  assert.deepEqual([whole.type, whole.first, whole.last], ['records', true, true])
  assert.equal(whole.records.length, 602)
  assert.equal(whole.version, 601 + MAX_CHANGES + 1)
  const next = following.next()
  put('c')
  assert.deepEqual((await time.settled(next, 10)).value.changes[0].key, 'c')
})

test('a whole in many parts is of one moment, whatever is decided while it is sent', async () => {
  const { put, follow } = await create()
  for (let i = 0; i < 2_500; i += 1) put(`k${i}`)
  const following = follow()
  const parts = [(await following.next()).value]
  put('k0', 'new')
  put('late')
  while (parts.at(-1)?.last !== true) parts.push((await following.next()).value)
  assert.deepEqual(
    parts.map(({ first, last, version, records }) => [first, last, version, records.length]),
    [
      [true, false, 2_500, 1_000],
      [false, false, 2_500, 1_000],
      [false, true, 2_500, 500],
    ],
  )
  assert.equal(parts[0].records[0].value, 1)
  const rest = (await following.next()).value
  assert.deepEqual(
    rest.changes.map(({ key }: { key: string }) => key),
    ['k0', 'late'],
  )
})

test('large changes come in several messages, and one that is too large for any comes alone', async () => {
  const { put, follow } = await create()
  for (const [key, length] of [
    ['a', 60_000],
    ['b', 60_000],
    ['c', 200_000],
    ['d', 10],
  ] as const)
    put(key, 'x'.repeat(length))
  const following = follow(0)
  const keys: string[][] = []
  for (let i = 0; i < 3; i += 1)
    keys.push((await following.next()).value.changes.map(({ key }: { key: string }) => key))
  assert.deepEqual(keys, [['a', 'b'], ['c'], ['d']])
})

test('a follower with a prefix is told how far the member is, although nothing of it changes', async () => {
  const { put, apply, follow, time } = await create()
  const following = follow(0, 'p/')
  const next = following.next()
  for (let second = 0; second < 3; second += 1) {
    await time.run(400)
    put(`q/${second}`)
  }
  const mark = (await time.settled(next, 2_000)).value
  assert.deepEqual([mark.type, mark.changes, mark.version], ['changes', [], 3])
  const later = following.next()
  apply('record.put', { key: '$not-allowed', value: 1 })
  assert.equal((await time.settled(later, 2_000)).value.version, 4, 'entries that change nothing count too')
  const news = following.next()
  await time.run(5_000)
  put('p/1')
  const told = (await time.settled(news, 10)).value
  assert.deepEqual([told.version, told.changes.length], [5, 1], 'without news it is silent')
})

test('a follower ends where the member loses its seat, or hears no leader', async () => {
  for (const how of ['put out', 'seat gone', 'no leader', 'silent leader'] as const) {
    const { put, follow, time, status, heard, lose } = await create()
    put('a')
    const following = follow()
    await following.next()
    const next = reasonOf(following.next())
    await time.run(5_000)
    if (how === 'put out') status.configuration.voters = ['other.01']
    else if (how === 'seat gone') lose()
    else if (how === 'no leader') status.leader = undefined
    else {
      status.role = 'follower'
      status.leader = 'other.01'
      heard.silentMs = 2_500
    }
    assert.equal(await time.settled(next, 4_000), how.endsWith('leader') ? 'no-leader' : 'no-member', how)
  }
})

test('a follower ends with its signal', async () => {
  const { follow, time } = await create()
  const stop = new AbortController()
  const following = follow(0, '', stop.signal)
  const next = following.next()
  await time.run(100)
  stop.abort(new Error('enough'))
  assert.equal((await time.settled(next, 10)).done, true)
})

test('a member that restores a snapshot while it is followed tells the whole, or what came after for who was further', async () => {
  const { put, follow, time, machine } = await create()
  for (const key of ['a', 'b', 'c', 'd']) put(key)
  const ahead = createJournalMachine(new Map(BUILT_IN_KINDS.map((kind) => [kind.name, kind])))
  for (let i = 1; i <= 20; i += 1)
    ahead.apply(
      encodeLoggedCommand({
        kind: 'record.put',
        session: 0,
        serial: 0,
        acked: 0,
        at: i,
        by: 'x',
        input: { key: `k${i}`, value: i },
      }),
      { index: i, term: 1 },
    )
  const behind = follow(4)
  const further = follow(20)
  const [told, later] = [behind.next(), further.next()]
  await time.run(10)
  await machine.restore(savedRows(await snapshotOf(ahead)))
  const whole = (await time.settled(told, 10)).value
  assert.deepEqual([whole.type, whole.version, whole.records.length], ['records', 20, 20])
  machine.apply(
    encodeLoggedCommand({
      kind: 'record.put',
      session: 0,
      serial: 0,
      acked: 0,
      at: 30,
      by: 'x',
      input: { key: 'new', value: 1 },
    }),
    { index: 21, term: 1 },
  )
  const change = (await time.settled(later, 1_500)).value
  assert.deepEqual([change.type, change.version, change.changes.length], ['changes', 21, 1])
})

test('who is no member, or of another mesh, answers no read, no follow and no command', async () => {
  const { handlers, context, status, lose } = await create()
  const submit = { meshId: 'm', kind: 'record.put', session: 0, serial: 0, acked: 0, input: { key: 'a', value: 1 } }
  const ask = (meshId: string): Promise<unknown>[] => [
    reasonOf(Promise.resolve(handlers.read({ meshId, consistency: 'local' }, context))),
    reasonOf(Promise.resolve(handlers.follow({ meshId, prefix: '' }, context)[Symbol.asyncIterator]().next())),
    reasonOf(Promise.resolve(handlers.submit({ ...submit, meshId }, context))),
  ]
  assert.deepEqual(await Promise.all(ask('other')), Array(3).fill('other-mesh'))
  status.configuration.voters = ['other.01']
  status.role = 'follower'
  status.leader = 'other.01'
  assert.deepEqual(await Promise.all(ask('m')), ['no-member', 'no-member', 'not-leader'])
  const refused = await Promise.resolve(handlers.submit(submit, context)).catch((error: unknown) => error)
  assert.ok(isParleyError(refused) && refused.details.leader === 'other' && refused.details.epoch === 1)
  lose()
  assert.deepEqual(await Promise.all(ask('m')), Array(3).fill('no-member'))
})

test('what is refused is counted by its code, where this member leads', async () => {
  const { handlers, context, status, counted } = await create()
  const ask = async (kind: string, input: Json): Promise<unknown> => {
    const submit = { meshId: 'm', kind, session: 0, serial: 0, acked: 0, input }
    return Promise.resolve(handlers.submit(submit, context)).then(
      () => 'ok',
      (error: unknown) => (isParleyError(error) ? error.code : error),
    )
  }
  assert.equal(await ask('record.put', { key: '' }), 'MSG001')
  assert.equal(await ask('record.eat', {}), 'MSG004')
  assert.equal(await ask('coordinator.begin', {}), 'SEC002')
  assert.equal(await ask('coordinator.begin', {}), 'SEC002')
  status.role = 'follower'
  assert.equal(await ask('record.put', { key: '' }), 'STA003')
  const refused = ([code, times]: [string, number]): [string, number] => [`journal_refused_total ${code}`, times]
  assert.deepEqual(
    [...counted].sort(),
    (
      [
        ['MSG001', 1],
        ['MSG004', 1],
        ['SEC002', 2],
      ] as [string, number][]
    ).map(refused),
  )
})
