/** Processes that are killed or frozen in the middle of work. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { BRISK, type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { note } from '../support/message-verbs.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, timed, until } from '../support/until.ts'

/** Generous for a loaded machine; on a free one it takes some 20 ms. */
const QUICKLY_MS = 1_500

describe('when a process dies', { timeout: 90_000 }, () => {
  const secret = makeSecret()
  const common = { mesh: 'mortal', secret, timings: BRISK }
  let ours: OwnMesh
  let peers: Peer[] = []
  let serial = 0

  /** Two peers are there at the beginning of each test. */
  const refill = async (): Promise<void> => {
    const missing = 2 - peers.length
    const fresh = await Promise.all(
      Array.from({ length: missing }, () => {
        serial += 1
        return startPeer({ ...common, name: `peer-${serial}`, join: ours.mesh.self.addresses })
      }),
    )
    peers.push(...fresh)
    await untilKnown(ours.mesh, ...peers.map(({ id }) => id))
  }
  const pair = (): [Peer, Peer] => {
    const [one, other] = peers
    assert.ok(one !== undefined && other !== undefined)
    return [one, other]
  }
  const kill = async (peer: Peer): Promise<void> => {
    peers = peers.filter((other) => other !== peer)
    await peer.kill()
  }
  const holds = async (peer: Peer, tag: string): Promise<boolean> =>
    (await peer.ask('journal', undefined)).held.includes(tag)

  before(async () => {
    ours = await startMesh({ ...common, name: 'ours' })
  })
  beforeEach(refill)
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  it('its calls fail with COM002 at once and are not made again, and it leaves the view of all', async () => {
    const any = ours.mesh.any(probe).hold({ tag: 'once only' }, { exclude: [ours.mesh.self.id] })
    const victim = await until('one of them has it', async () => {
      for (const peer of peers) if (await holds(peer, 'once only')) return peer
      return undefined
    })
    const other = peers.find((peer) => peer !== victim) ?? assert.fail()
    const call = ours.mesh.to(victim.id, probe).hold({ tag: 'killed' })
    await until('the other is in work too', () => holds(victim, 'killed'))
    const killedAt = performance.now()
    const [error, anyError] = await Promise.all([failureOf(call), failureOf(any), kill(victim)])
    const ms = performance.now() - killedAt
    assert.ok(ms < QUICKLY_MS, `${ms} ms`)
    for (const failure of [error, anyError]) {
      assert.ok(isParleyError(failure, 'COM002'), `${failure}`)
      assert.equal(failure.details.sent, true)
    }
    await until('we dropped it', () => ours.mesh.directory.get(victim.id) === undefined)
    await until('the other dropped it', async () => {
      const { agents, members } = await other.ask('facts', undefined)
      return !agents.some(({ peer }) => peer === victim.id) && !members.some(({ id }) => id === victim.id)
    })
    assert.ok(performance.now() - killedAt < 5_000, 'within a few seconds')
    assert.ok(ours.mesh.directory.offers('probe', 1).every(({ peer }) => peer !== victim.id))
    assert.deepEqual((await other.ask('journal', undefined)).held, [])
  })

  it('its messages to a capability go to another agent in their order; what must count once is a dead letter', async (t) => {
    const rebindAfterMs = 2_000
    const folder = await mkdtemp(join(tmpdir(), 'parley-death-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const coordination = { voter: 'never' } as const
    const about = { dataDir: folder, join: ours.mesh.self.addresses, delivery: { rebindAfterMs }, coordination }
    const { mesh } = await startMesh({ ...common, name: 'sender', ...about })
    for (const peer of pair()) await peer.ask('receiveNotes', undefined)
    await until('both are known to take notes', () =>
      pair().every(({ id }) => mesh.directory.get(id)?.record.protocols.some(({ name }) => name === 'message/note')),
    )
    const send = (n: number, guarantee: 'AT_LEAST_ONCE' | 'EXACTLY_ONCE' = 'AT_LEAST_ONCE') =>
      mesh.messages.send({ capability: 'note' }, note, { n }, { conversationId: 'mortal', guarantee })
    const first = await send(0)
    await first.delivered()
    const victim = pair().find(({ id }) => id === first.destinations[0])
    const survivor = pair().find((peer) => peer !== victim)
    assert.ok(victim !== undefined && survivor !== undefined)
    await kill(victim)
    const killedAt = performance.now()
    const receipts = await Promise.all([1, 2, 3].map((n) => send(n)))
    const once = await send(4, 'EXACTLY_ONCE')
    receipts.push(await send(5))
    for (const { destinations } of [...receipts, once]) assert.deepEqual(destinations, [victim.id])
    const [error] = await Promise.all([failureOf(once.delivered()), ...receipts.map((one) => one.delivered())])
    const ms = performance.now() - killedAt
    assert.ok(ms > rebindAfterMs / 2 && ms < rebindAfterMs + 5_000, `${ms} ms`)
    assert.deepEqual(await survivor.ask('notes', undefined), [1, 2, 3, 5])
    assert.ok(isParleyError(error, 'COM001') && error.details.reason === 'receiver-gone', `${error}`)
    const letters = await mesh.messages.deadLetters.list()
    assert.deepEqual(
      letters.map(({ messageId, code, destination, capability }) => [messageId, code, destination, capability]),
      [[once.id, 'COM002', victim.id, 'note']],
    )
    assert.match(letters[0]?.reason ?? '', /^receiver-gone: /)
    const { counts, outbox } = mesh.messages.figures()
    assert.deepEqual([counts.moved, counts.receiverGone, outbox], [4, 1, 0])
    await mesh.stop()
  })

  it('any() goes on to another peer where the method is idempotent', async () => {
    const failedOver: string[] = []
    const call = ours.mesh
      .any(probe)
      .holdAgain({ tag: 'moved' }, { exclude: [ours.mesh.self.id], onFailover: (peer) => failedOver.push(peer) })
    const victim = await until('one of them has it', async () => {
      for (const peer of peers) if (await holds(peer, 'moved')) return peer
      return undefined
    })
    const survivor = peers.find((peer) => peer !== victim)
    assert.ok(survivor !== undefined)
    const { ms } = await timed(async () => {
      await kill(victim)
      await until('the other one has it', () => holds(survivor, 'moved'))
    })
    assert.ok(ms < QUICKLY_MS, `${ms} ms`)
    await survivor.ask('release', {})
    assert.deepEqual(await call, { tag: 'moved' })
    assert.deepEqual(failedOver, [victim.id])
  })

  it('a stream hands over what came and then fails with COM002', async () => {
    const [victim] = pair()
    const numbers: number[] = []
    const error = await failureOf(
      (async () => {
        for await (const { n } of ours.mesh.to(victim.id, probe).count({ to: 10_000_000 })) {
          numbers.push(n)
          if (n === 500) void kill(victim)
        }
      })(),
    )
    assert.ok(isParleyError(error, 'COM002'), `${error}`)
    assert.ok(numbers.length >= 500)
    assert.ok(numbers.every((n, i) => n === i + 1))
  })

  it('the handler that works for it is told', async () => {
    const [caller] = pair()
    await caller.ask('begin', { to: ours.mesh.self.id, method: 'hold', input: { tag: 'orphan' } })
    await until('it is in work', () => ours.journal.held.includes('orphan'))
    const { ms } = await timed(async () => {
      await kill(caller)
      await until('the handler was told', () => ours.journal.aborted.some(({ tag }) => tag === 'orphan'))
    })
    assert.ok(ms < QUICKLY_MS, `${ms} ms`)
    await until('its slot is free', () => ours.mesh.figures().active === 0)
  })

  it('a frozen one is suspected, avoided, cut off, and taken back when it thaws', async () => {
    const [victim, other] = pair()
    const pending = failureOf(ours.mesh.to(victim.id, probe).hold({ tag: 'frozen' }), 20_000)
    await until('it is in work', () => holds(victim, 'frozen'))
    const frozenAt = performance.now()
    victim.freeze()
    try {
      await until('it is suspected', () => ours.mesh.directory.get(victim.id)?.state === 'suspect')
      assert.ok(performance.now() - frozenAt < BRISK.deadAfterMs, 'before it is cut off')
      assert.ok(ours.mesh.members().some(({ id }) => id === victim.id))
      for (let i = 0; i < 30; i += 1) {
        const { id } = await ours.mesh.any(probe).who({}, { exclude: [ours.mesh.self.id] })
        assert.equal(id, other.id)
      }
      const error = await pending
      const ms = performance.now() - frozenAt
      assert.ok(isParleyError(error, 'COM002'), `${error}`)
      assert.ok(ms > BRISK.deadAfterMs * 0.8 && ms < BRISK.deadAfterMs + 3_000, `${ms} ms`)
      await until('it is disconnected', () => !ours.mesh.members().some(({ id }) => id === victim.id))
    } finally {
      victim.thaw()
    }
    await until('it is back', () => ours.mesh.members().some(({ id }) => id === victim.id))
    await until('it is trusted again', () => ours.mesh.directory.get(victim.id)?.state === 'alive')
    assert.deepEqual(await ours.mesh.to(victim.id, probe).echo({ text: 'awake' }), { text: 'awake' })
    await until('it knows the other again', async () => {
      const { members } = await victim.ask('facts', undefined)
      return members.length === 2
    })
  })

  it('a frozen one holds up calls to any peer until it is cut off, and nobody waits for dials of it', async () => {
    const [victim, other] = pair()
    let over = false
    let slowestMs = 0
    const answers = new Array<number>(8).fill(0)
    const lane = async (_: number, at: number): Promise<void> => {
      while (!over) {
        const startedAt = performance.now()
        await ours.mesh.any(probe, { exclude: [ours.mesh.self.id] }).echo({ text: 'go on' })
        slowestMs = Math.max(slowestMs, performance.now() - startedAt)
        answers[at] = (answers[at] ?? 0) + 1
      }
    }
    const lanes = Promise.all(answers.map(lane))
    await until('calls flow', () => answers.every((count) => count > 10))
    victim.freeze()
    try {
      await until('it is disconnected', () => !ours.mesh.members().some(({ id }) => id === victim.id))
      const before = [...answers]
      await until('the other answers all', () => answers.every((count, at) => count > (before[at] ?? 0) + 10))
    } finally {
      victim.thaw()
      over = true
    }
    await lanes
    assert.ok(slowestMs > BRISK.deadAfterMs / 2, `${slowestMs} ms: some call was under way when it froze`)
    assert.ok(slowestMs < BRISK.deadAfterMs + BRISK.dialTimeoutMs, `${slowestMs} ms`)
    await until('it is back', () => ours.mesh.members().some(({ id }) => id === victim.id))
    await until('both are trusted', () =>
      [victim, other].every(({ id }) => ours.mesh.directory.get(id)?.state === 'alive'),
    )
  })

  it('one that only computes for a while is not taken for dead, and answers when it is done', async () => {
    const [busy] = pair()
    const changes: string[] = []
    const { stop: unwatch } = ours.mesh.onMember(({ id }, change) => {
      if (id === busy.id) changes.push(change)
    })
    const blocking = busy.ask('block', { ms: 0.6 * BRISK.deadAfterMs })
    assert.deepEqual(await ours.mesh.to(busy.id, probe).echo({ text: 'when you are done' }), {
      text: 'when you are done',
    })
    await blocking
    await until('it is trusted again', () => ours.mesh.directory.get(busy.id)?.state === 'alive')
    assert.deepEqual(changes, [])
    unwatch()
  })
})
