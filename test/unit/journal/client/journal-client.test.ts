/** The journal from any node, over whole nodes in virtual time: decisions, reads, and what happens when coordinators go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { createJournalClient, type KeyRange } from '../../../../protocols/journal/client/journal-client.ts'
import { BUILT_IN_KINDS, FEATURE_LEVEL_KEY, raiseLevel } from '../../../../protocols/journal/state/built-in-kinds.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  type Json,
} from '../../../../protocols/journal/state/command-kind.ts'
import { OPEN_SESSION } from '../../../../protocols/journal/state/journal-machine.ts'
import { createJournalMesh, type JournalMesh, type JournalNode } from '../../../support/journal-mesh.ts'

/** Adds to a list, so that what is applied twice, or not at all, shows. */
const append = defineJournalCommand({
  name: 'list.append',
  level: 1,
  input: z.object({ value: z.number() }),
  output: z.object({ length: z.number() }),
  apply(tx, { value }) {
    const before = z.array(z.number()).parse(tx.get('list') ?? [])
    tx.put('list', [...before, value])
    return { length: before.length + 1 }
  },
})
const ofLater = defineJournalCommand({
  name: 'later.thing',
  level: 3,
  input: z.null(),
  output: z.null(),
  apply: () => null,
})
const COMMANDS = [append, ofLater] as readonly AnyCommandKind[]

const create = (options: Parameters<typeof createJournalMesh>[0] = {}) =>
  createJournalMesh({ commands: COMMANDS, ...options })

/** The result, or the code and reason of its error. */
const outcome = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    return await promise
  } catch (error) {
    if (!isParleyError(error)) throw error
    return [error.code, error.details.reason].filter((one) => one !== undefined).join(' ')
  }
}
const founded = async (options: Parameters<typeof createJournalMesh>[0] = {}, more = 1) => {
  const mesh = create(options)
  const voters = await mesh.found(3)
  const guests: JournalNode[] = []
  for (let i = 0; i < more; i += 1) guests.push(await mesh.start(`guest${i}`, { mayVote: false }))
  const [guest] = guests
  if (guest === undefined) throw new Error('there is no guest')
  await mesh.time.until(() => guests.every(({ coordinator }) => coordinator.status().leader !== undefined), 2_000)
  return { mesh, voters, guest, guests }
}
const listOf = (node: JournalNode): Json | undefined => node.value('list')
const settled = <T>(mesh: JournalMesh, promise: Promise<T>, maxMs = 5_000): Promise<T> =>
  mesh.time.settled(promise, maxMs)

test('a record is put, read and deleted from a node with a seat and from one without', async () => {
  const { mesh, voters, guest } = await founded()
  const follower = voters.find((node) => node !== mesh.leader())
  assert.ok(follower)
  for (const { journal } of [guest, follower, mesh.leader() ?? guest]) {
    const { version, fence, result } = await settled(mesh, journal.put('a', { x: 1 }, { ifVersion: 0 }))
    assert.deepEqual([fence, result], [{ term: 2, index: version }, null])
    for (const reader of [guest, ...voters])
      assert.deepEqual(await settled(mesh, reader.journal.get('a')), { key: 'a', version, term: 2, value: { x: 1 } })
    assert.equal(await settled(mesh, outcome(journal.put('a', 2, { ifVersion: 0 }))), 'STA003 version')
    assert.deepEqual((await settled(mesh, journal.delete('a', { ifVersion: version }))).result, { existed: true })
    assert.equal(await settled(mesh, guest.journal.get('a')), undefined)
  }
})

test('a list is whole, however many pages it takes, and misses nothing for who goes on from its version', async () => {
  const { mesh, guest, voters } = await founded()
  const text = 'x'.repeat(50_000)
  for (const key of ['p/3', 'q', 'p/1', 'p/2', 'p/5', 'p/4', 'o']) await settled(mesh, guest.journal.put(key, text))
  for (let waitMs = 0; waitMs < 40; waitMs += 4) {
    const node = waitMs % 8 === 0 ? guest : voters[0]
    const listing = node?.journal.list('p/') ?? Promise.reject()
    await mesh.time.run(waitMs)
    const writing = guest.journal.put('p/1', waitMs)
    const { records, version } = await settled(mesh, listing)
    await settled(mesh, writing)
    assert.deepEqual(
      records.map(({ key }) => key),
      ['p/1', 'p/2', 'p/3', 'p/4', 'p/5'],
    )
    const { records: all } = (mesh.leader() ?? guest).machine()
    const table = new Map(records.map(({ key, value }) => [key, value]))
    for (const { key, value } of all.since(version, 1_000, 1_000_000) ?? []) table.set(key, value ?? null)
    for (const { key } of records) assert.deepEqual(table.get(key), all.get(key)?.value)
  }
  assert.deepEqual((await settled(mesh, guest.journal.list('nothing'))).records, [])
  const keysOf = async (range: KeyRange): Promise<string[]> =>
    (await settled(mesh, guest.journal.list('p/', range))).records.map(({ key }) => key)
  assert.deepEqual(await keysOf({ after: 'p/2', most: 2 }), ['p/3', 'p/4'])
  assert.deepEqual(await keysOf({ most: 4 }), ['p/1', 'p/2', 'p/3', 'p/4'], 'also over several pages')
  assert.deepEqual(await keysOf({ after: 'p/4', most: 2 }), ['p/5'])
  assert.deepEqual(await keysOf({ after: 'p/5' }), [])
})

test('a leader that dies in the middle of many commands: each is answered, and has its effect, once', async () => {
  for (const seed of [1, 2, 3]) {
    const { mesh, guest, guests, voters } = await founded({ seed }, 2)
    const from = [...guests, ...voters.filter((node) => node !== mesh.leader())]
    const lengths: number[] = []
    let value = 0
    const all: Promise<unknown>[] = []
    for (let round = 0; round < 20; round += 1) {
      for (const { journal } of from)
        all.push(journal.submit(append, { value: value++ }).then(({ result }) => lengths.push(result.length)))
      const leader = mesh.leader()
      if (round === 8 && leader !== undefined) mesh.kill(leader, true)
      await mesh.time.run(mesh.random() * 10)
    }
    await settled(mesh, Promise.all(all), 10_000)
    const values = z.array(z.number()).parse((await settled(mesh, guest.journal.get('list')))?.value)
    assert.deepEqual(
      values.toSorted((a, b) => a - b),
      Array.from({ length: value }, (_, i) => i),
      `seed ${seed}`,
    )
    assert.deepEqual(
      lengths.toSorted((a, b) => a - b),
      values.map((_, i) => i + 1),
      'each answer is of another entry',
    )
    assert.ok(from.some(({ journal }) => journal.counts().retried > 0))
  }
})

test('leaders that are cut off, frozen and killed in turn: nothing is lost, nothing applied twice', async () => {
  const { mesh, guests, voters } = await founded({ seed: 5, snapshotEvery: 40 }, 2)
  let value = 0
  const answered: number[] = []
  const unknown: number[] = []
  const all: Promise<unknown>[] = []
  let isOn = true
  const write = async ({ journal, port }: JournalNode): Promise<void> => {
    while (isOn) {
      await new Promise<void>((resolve) => void port.timers.after(20, resolve))
      const mine = value++
      const result = await outcome(journal.submit(append, { value: mine }, { timeoutMs: 8_000 }))
      if (typeof result === 'object') answered.push(mine)
      else {
        assert.match(String(result), /^COM001 /)
        unknown.push(mine)
      }
    }
  }
  for (const guest of guests) all.push(write(guest), write(guest))
  for (const how of ['cut', 'freeze', 'kill', 'cut', 'freeze'] as const) {
    await mesh.time.run(300)
    const leader = await mesh.untilLeader(5_000)
    const rest = mesh.up().filter((node) => node !== leader)
    if (how === 'cut') mesh.cut([leader], rest)
    else if (how === 'freeze') leader.life.freeze()
    else mesh.kill(leader, true)
    await mesh.untilLeader(5_000, leader)
    await mesh.time.run(1_000)
    if (how === 'cut') mesh.heal()
    else if (how === 'freeze') leader.life.thaw()
    else await mesh.start(leader.name)
  }
  isOn = false
  await settled(mesh, Promise.all(all), 20_000)
  const [guest] = guests
  const values = z.array(z.number()).parse((await settled(mesh, guest?.journal.get('list') ?? Promise.reject()))?.value)
  assert.equal(new Set(values).size, values.length, 'nothing is there twice')
  const missing = answered.filter((one) => !values.includes(one))
  assert.deepEqual(missing, [])
  assert.ok(values.every((one) => answered.includes(one) || unknown.includes(one)))
  assert.ok(answered.length > 200, `${answered.length} were answered`)
  await mesh.time.until(
    () => mesh.up().every((node) => node.disk === undefined || node.value('list') !== undefined),
    5_000,
  )
  await mesh.time.run(500)
  for (const { name } of voters) {
    const node = mesh.up().find((one) => one.name === name)
    assert.deepEqual(node && listOf(node), values, name)
  }
})

test('a command whose answer was lost is asked for again, and applied once', async () => {
  const { mesh, guest } = await founded()
  await settled(mesh, guest.journal.submit(append, { value: 1 }))
  const leader = mesh.leader()
  assert.ok(leader)
  const answer = guest.journal.submit(append, { value: 2 })
  // It is decided, and the connection goes before the answer arrives.
  await mesh.time.until(() => JSON.stringify(listOf(leader)) === '[1,2]', 1_000)
  mesh.disconnect(leader.network, guest.network)
  await mesh.time.run(100)
  mesh.connect(leader.network, guest.network)
  assert.deepEqual((await settled(mesh, answer)).result, { length: 2 })
  assert.deepEqual(listOf(leader), [1, 2])
  assert.ok(guest.journal.counts().retried > 0)
})

test('a node whose session was forgotten opens another one; what it does not know, it says', async () => {
  const { mesh, guest } = await founded()
  await settled(mesh, guest.journal.submit(append, { value: 1 }))
  const forget = (): void => {
    // As if ten thousand other sessions had been used since.
    for (const node of mesh.up()) if (node.disk !== undefined) node.machine().sessions.restore([])
  }
  forget()
  assert.deepEqual((await settled(mesh, guest.journal.submit(append, { value: 2 }))).result, { length: 2 })
  assert.equal(guest.journal.counts().sessions, 2)
  const leader = mesh.leader()
  assert.ok(leader)
  const lost = outcome(guest.journal.submit(append, { value: 3 }))
  await mesh.time.until(() => JSON.stringify(listOf(leader)) === '[1,2,3]', 1_000)
  mesh.disconnect(leader.network, guest.network)
  forget()
  await mesh.time.run(100)
  mesh.connect(leader.network, guest.network)
  assert.equal(await settled(mesh, lost), 'COM001 unknown')
  assert.deepEqual(listOf(leader), [1, 2, 3])
})

test('a cut-off leader answers no read and takes no decision, while the others go on', async () => {
  const { mesh, voters, guest } = await founded()
  const leader = mesh.leader()
  assert.ok(leader)
  for (const { journal } of [leader, guest]) await settled(mesh, journal.put('a', 1))
  const rest = mesh.up().filter((node) => node !== leader)
  mesh.cut([leader], rest)
  const [read, write] = [
    outcome(leader.journal.get('a', { timeoutMs: 4_000 })),
    outcome(leader.journal.put('a', 'of the minority', { timeoutMs: 4_000 })),
  ]
  const local = await settled(mesh, leader.journal.get('a', { consistency: 'local' }), 100)
  assert.equal(local?.value, 1, 'what it has, it has')
  const { fence } = await settled(mesh, guest.journal.put('a', 2))
  assert.ok(fence.term > 2)
  await mesh.time.run(2_500)
  assert.equal(await settled(mesh, read), 'COM001 no-leader')
  assert.equal(await settled(mesh, write), 'COM001 unknown')
  assert.equal(leader.coordinator.status().quorum, false)
  mesh.heal()
  await mesh.time.until(() => voters.every((node) => node.value('a') === 2), 3_000)
  assert.equal((await settled(mesh, leader.journal.get('a')))?.value, 2)
})

test('without a quorum commands end with no-leader, and go on once there is one', async () => {
  const { mesh, voters, guest } = await founded()
  await settled(mesh, guest.journal.put('a', 1))
  const leader = mesh.leader()
  assert.ok(leader)
  for (const node of voters) if (node !== leader) mesh.kill(node)
  await mesh.time.run(4_000)
  for (const { coordinator } of [leader, guest]) assert.equal(coordinator.status().quorum, false)
  const stop = new AbortController()
  const given = guest.journal.put('c', 1, { signal: stop.signal }).catch((error: unknown) => error)
  assert.equal(await settled(mesh, outcome(guest.journal.put('b', 1, { timeoutMs: 2_000 }))), 'COM001 no-leader')
  assert.equal(await settled(mesh, outcome(leader.journal.get('a', { timeoutMs: 2_000 })), 6_000), 'COM001 no-leader')
  assert.equal((await settled(mesh, guest.journal.get('a', { consistency: 'local' }), 500))?.value, 1)
  stop.abort(new Error('no time'))
  assert.match(String(await settled(mesh, given, 100)), /no time/)
  const waiting = guest.journal.put('d', 1)
  for (const node of voters) if (node !== leader) await mesh.start(node.name)
  await settled(mesh, waiting)
  assert.equal((await settled(mesh, guest.journal.get('d')))?.value, 1)
  assert.equal(await settled(mesh, guest.journal.get('b')), undefined)
  await mesh.time.until(() => guest.coordinator.status().quorum, 2_000)
})

test('before the mesh is founded everything waits for its limit, and says then what it waited for', async () => {
  const mesh = create()
  const node = await mesh.start('alone', { expect: 2 })
  const within = { timeoutMs: 500 }
  assert.equal(await settled(mesh, outcome(node.journal.put('a', 1, within)), 600), 'STA003 not-founded')
  assert.equal(await settled(mesh, outcome(node.journal.get('a', within)), 600), 'STA003 not-founded')
  assert.equal(await settled(mesh, outcome(node.journal.list('a', within)), 600), 'STA003 not-founded')
  const waiting = node.journal.put('a', 1)
  await mesh.start('second', { expect: 2 })
  await settled(mesh, waiting, 10_000)
  assert.equal((await settled(mesh, node.journal.get('a')))?.value, 1)
})

test("a caller's own limit is a timeout of the mesh", async () => {
  const mesh = create()
  const node = await mesh.start('alone', { expect: 3 })
  const own = new AbortController()
  const given = outcome(node.journal.submit(append, { value: 1 }, { signal: own.signal }))
  own.abort(new DOMException('over', 'TimeoutError'))
  assert.equal(await settled(mesh, given, 500), 'COM001 no-leader')
})

test('a command that nobody knows, of a later level, or of the coordinator alone is refused at once', async () => {
  const { mesh, guest } = await founded()
  const nobody = defineJournalCommand({ ...append, name: 'nobody.knows' })
  assert.equal(
    await settled(mesh, outcome(guest.journal.submit(nobody, { value: 1 })), 1_000),
    'MSG004 unknown-command',
  )
  assert.equal(await settled(mesh, outcome(guest.journal.submit(ofLater, null)), 1_000), 'STA003 level')
  for (const { name, input } of [
    { name: 'journal.level', input: { level: 9 } },
    { name: 'coordinator.begin', input: { leader: guest.id, name: 'guest' } },
  ]) {
    const kind = BUILT_IN_KINDS.find((one) => one.name === name)
    assert.ok(kind)
    assert.equal(await settled(mesh, outcome(guest.journal.submit(kind, input)), 1_000), 'SEC002')
  }
  assert.notEqual((await settled(mesh, guest.journal.get(FEATURE_LEVEL_KEY)))?.value, 9)
  assert.equal(raiseLevel.name, 'journal.level')
})

test('input that does not fit, keys and values past their limits, and what is too large for the log are refused', async () => {
  const { mesh, guest } = await founded()
  const put = (key: string, value: Json): Promise<unknown> =>
    settled(mesh, outcome(guest.journal.put(key, value)), 1_000)
  assert.equal(typeof (await put('k'.repeat(256), 1)), 'object')
  assert.equal(await put('k'.repeat(257), 1), 'MSG001')
  assert.equal(await put('', 1), 'MSG001')
  assert.equal(await put('a b', 1), 'MSG001')
  assert.equal(await put('$level', 1), 'SEC002')
  assert.equal(typeof (await put('v', 'x'.repeat(262_144 - 3))), 'object')
  assert.equal(await put('v', 'x'.repeat(262_144 - 2)), 'MSG001')
  assert.equal(await put('v', 'x'.repeat(600_000)), 'MSG001')
  assert.equal(await put('v', Number.NaN), 'MSG001')
  assert.equal(
    await settled(mesh, outcome(guest.journal.submit(append, { value: 'x' as unknown as number }))),
    'MSG001',
  )
  const { open, waiting } = guest.journal.counts()
  assert.deepEqual([open, waiting], [0, 0])
})

test('a kind that answers otherwise than its type says is told so, after it was decided', async () => {
  const { mesh, guest } = await founded()
  const other = { ...append, output: z.object({ length: z.string() }) } as unknown as AnyCommandKind
  assert.equal(await settled(mesh, outcome(guest.journal.submit(other, { value: 1 }))), 'MSG003')
  assert.deepEqual((await settled(mesh, guest.journal.get('list')))?.value, [1])
})

test('so many commands may wait on a node, and one more is refused; the others are done in the end', async () => {
  const { mesh, guest, voters } = await founded()
  const leader = mesh.leader()
  for (const node of voters) if (node !== leader) mesh.kill(node)
  await mesh.time.run(1_500)
  const stop = new AbortController()
  const given = outcome(guest.journal.put('x', 0))
  const all = Array.from({ length: 255 + 4_096 }, (_, value) =>
    guest.journal.submit(append, { value }, { signal: stop.signal }).catch(() => 'given up'),
  )
  await mesh.time.run(10)
  assert.deepEqual([guest.journal.counts().open, guest.journal.counts().waiting], [256, 4_096])
  assert.equal(await settled(mesh, outcome(guest.journal.put('a', 1)), 10), 'COM003')
  stop.abort(new Error('no time'))
  assert.deepEqual(new Set(await settled(mesh, Promise.all(all), 100)), new Set(['given up']))
  assert.deepEqual([guest.journal.counts().open, guest.journal.counts().waiting], [1, 0])
  for (const node of voters) if (node !== leader) await mesh.start(node.name)
  assert.equal(typeof (await settled(mesh, given)), 'object')
})

test('one command that is stuck holds up those far behind it, and fails none of them', async () => {
  const { mesh, guest } = await founded()
  const leader = mesh.leader()
  assert.ok(leader)
  await settled(mesh, guest.journal.submit(append, { value: -1 }))
  const all: Promise<unknown>[] = []
  for (let value = 0; value < 600; value += 1) all.push(guest.journal.submit(append, { value }))
  // In the middle of them the connection goes, so that each has a pause of its own.
  await mesh.time.run(12)
  mesh.disconnect(leader.network, guest.network)
  await mesh.time.run(60)
  mesh.connect(leader.network, guest.network)
  await settled(mesh, Promise.all(all), 10_000)
  const values = z.array(z.number()).parse(listOf(leader))
  assert.equal(values.length, 601)
  assert.equal(new Set(values).size, 601)
})

test('reads of a node whose own member stands still are answered by another one', async () => {
  const { mesh, voters, guest } = await founded()
  const follower = voters.find((node) => node !== mesh.leader())
  assert.ok(follower?.disk)
  follower.disk.room = 0
  await settled(mesh, guest.journal.put('a', 1))
  await mesh.time.run(1_000)
  assert.equal((await settled(mesh, follower.journal.get('a'), 8_000))?.value, 1)
})

test('what waits on a node that stops ends at once', async () => {
  const { mesh, guest, voters } = await founded()
  for (const node of voters) mesh.kill(node)
  const all = [
    outcome(guest.journal.put('a', 1)),
    outcome(guest.journal.get('a')),
    outcome(guest.journal.get('a', { consistency: 'local' })),
  ]
  await mesh.time.run(500)
  guest.whereabouts.stop()
  assert.deepEqual(await settled(mesh, Promise.all(all), 100), Array(3).fill('COM002 stopped'))
  assert.equal(await settled(mesh, outcome(guest.journal.put('a', 1)), 10), 'COM002 stopped')
})

test('a command on its way to a frozen leader goes to the next one as soon as that is known', async () => {
  const { mesh, guest } = await founded()
  await settled(mesh, guest.journal.put('a', 0))
  const leader = mesh.leader()
  assert.ok(leader)
  leader.life.freeze()
  const startMs = mesh.time.now()
  const { fence } = await settled(mesh, guest.journal.put('a', 1))
  const tookMs = mesh.time.now() - startMs
  assert.ok(fence.term > 2)
  assert.ok(tookMs < 2_000, `${tookMs} ms: a try alone lasts 3,000`)
  leader.life.thaw()
  await mesh.time.run(500)
  assert.equal((await settled(mesh, guest.journal.get('a')))?.version, fence.index, 'and is decided once')
})

/** A client whose coordinator is what the test says. */
const createAlone = (answer: (body: Record<string, unknown>, tries: number) => unknown) => {
  const time = createVirtualTime()
  const state = { mesh: 'm', leader: { epoch: 1, peer: 'one' }, doubts: 0, learned: [] as unknown[] }
  const sent: Record<string, unknown>[] = []
  const whereabouts = {
    setFromOwnGroup: () => {},
    onReport: (told: unknown, source: string) => void state.learned.push([told, source]),
    leader: () => state.leader,
    latest: () => ({ epoch: 1, version: 0, seats: ['one'], isPresent: true, silentMs: 0 }),
    markGone() {},
    markDoubtful: () => {
      state.doubts += 1
    },
    find: () => Promise.resolve(state.leader),
    onChange: () => () => {},
    stopped: new AbortController().signal,
    reset() {},
    stop() {},
  }
  const submit = async (body: Record<string, unknown>): Promise<unknown> => {
    if (body.kind === OPEN_SESSION) return { ok: true, version: 7, term: 1, result: null }
    sent.push(body)
    return answer(body, sent.length)
  }
  const journal = createJournalClient({
    port: {
      self: { id: 'self', name: 'self', mesh: 'test', incarnation: 1 },
      clock: { now: time.now, monotonic: time.now },
      timers: time,
      random: (bytes) => new Uint8Array(bytes),
      // The client asks for nothing but submit here.
      to: () => ({ submit }) as never,
    },
    leaderTracker: whereabouts,
    meshId: () => state.mesh,
    isMember: () => false,
  })
  return { time, state, sent, journal }
}
const refused = (reason: string, more: Record<string, unknown> = {}): ParleyError =>
  new ParleyError('STA003', reason, { details: { reason, ...more } })
const done = { ok: true, version: 9, term: 1, result: null }

test('who says that it does not lead is doubted, and whom it names is believed', async () => {
  const { time, state, journal, sent } = createAlone((_, tries) => {
    if (tries === 1) throw refused('not-leader')
    if (tries === 2) throw refused('not-leader', { leader: 'two', epoch: 3 })
    if (tries === 3) throw new ParleyError('COM003', 'busy')
    return done
  })
  await time.settled(journal.put('a', 1), 2_000)
  assert.deepEqual([state.doubts, state.learned], [2, [[{ epoch: 3, leader: 'two' }, 'one']]])
  assert.equal(new Set(sent.map(({ serial }) => serial)).size, 1)
})

test('what was on its way when the node came to another mesh is not asked of that one', async () => {
  for (const [error, then] of [
    [refused('not-leader'), 'decided'],
    [new ParleyError('COM002', 'gone'), 'COM001 unknown'],
  ] as const) {
    const { time, state, journal, sent } = createAlone(({ meshId }) => {
      if (meshId !== state.mesh) throw refused('other-mesh')
      if (state.mesh === 'm') {
        state.mesh = 'n'
        journal.reset()
        throw error
      }
      return done
    })
    const result = await time.settled(outcome(journal.put('a', 1)), 2_000)
    assert.equal(typeof result === 'object' ? 'decided' : result, then)
    assert.ok(sent.filter(({ meshId }) => meshId === 'n').every(({ serial }) => serial === 1))
    assert.equal(journal.counts().sessions, then === 'decided' ? 2 : 1)
  }
})

test('what all say to a command that was not taken does not make its end unknown', async () => {
  for (const error of [
    refused('not-leader'),
    refused('no-member'),
    new ParleyError('COM003', 'busy'),
    new ParleyError('COM002', 'x', { details: { sent: false } }),
  ]) {
    const { time, journal } = createAlone(() => {
      throw error
    })
    assert.equal(await time.settled(outcome(journal.put('a', 1, { timeoutMs: 900 })), 1_000), 'COM001 no-leader')
  }
  const { time, journal } = createAlone((_, tries) => {
    if (tries === 2) throw new ParleyError('COM001', 'late')
    throw refused('not-leader')
  })
  assert.equal(await time.settled(outcome(journal.put('a', 1, { timeoutMs: 900 })), 1_000), 'COM001 unknown')
})
