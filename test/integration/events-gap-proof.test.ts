/** 50,000 events of a publisher in another process, of which a subscriber is cut off for ten seconds; late joiners; kills. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type MeshOptionsInput, makeSecret } from '../../node/index.ts'
import type { SubscribeOptions } from '../../protocols/events/api.ts'
import { type CutProxy, createCutProxy } from '../support/cut-proxy.ts'
import { createLedger, type Ledger } from '../support/event-ledger.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { freePorts } from '../support/ports.ts'
import { endProcesses, forkProcess, type Peer, type PeerProcess, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const COUNT = 50_000
const STEP = 2_500
const CUT_MS = 10_000
const timings = { backoffMinMs: 100, backoffMaxMs: 500 }
/** `small` has a history that is too small for what is missed. */
const history = [
  { topic: 'large', maxEvents: 200_000, maxBytes: 64 * 1024 * 1024 },
  { topic: 'small', maxEvents: 5_000 },
]

const listen = async (
  { mesh }: OwnMesh,
  word: string,
  name: string,
  options: SubscribeOptions = {},
): Promise<Ledger> => {
  const ledger = createLedger(`${name} of ${word}`)
  await mesh.events.subscribe(`${word}.#`, ledger.hear, { onMissed: ledger.miss, ...options })
  return ledger
}

describe('events of which a subscriber is cut off for ten seconds', { timeout: 90_000 }, () => {
  const options: MeshOptionsInput = { mesh: 'gap-proof', secret: makeSecret(), timings, events: { history } }
  let publisher: Peer
  let proxy: CutProxy
  let cutOff: OwnMesh
  const ledgers: Ledger[] = []
  const lives = new Map<number, number>()
  let epoch = 0

  const publish = async (from: number, count: number): Promise<void> => {
    for (const word of ['large', 'small']) await publisher.ask('publish', { topic: `${word}.x`, from, count })
  }
  const toldAll = (ledger: Ledger): boolean => {
    const last = ledger.told.at(-1)
    return last?.to === COUNT
  }

  before(async () => {
    const [port = 0] = await freePorts(1)
    proxy = await createCutProxy(port)
    const listenAt = [`/ip4/127.0.0.1/tcp/${port}`]
    const announce = [`/ip4/127.0.0.1/tcp/${proxy.port}`]
    publisher = await startPeer({ ...options, name: 'publisher', listen: listenAt, announce })
    cutOff = await startMesh({ ...options, name: 'cut-off', listen: [], join: announce })
    await cutOff.mesh.joined()
  })
  after(async () => {
    await stopMeshes()
    endProcesses()
    await proxy.close()
  })

  it('all come, in order and none twice, where the history is large enough; what is lost is named where it is not', async () => {
    for (const word of ['large', 'small']) {
      ledgers.push(await listen(cutOff, word, 'plain'), await listen(cutOff, word, 'acknowledged', { ack: true }))
    }
    const startedAt = performance.now()
    await publish(1, STEP)
    await until('the first came', () => ledgers.every(({ told }) => told.at(-1)?.to === STEP))
    epoch = ledgers[0]?.told[0]?.epoch ?? 0
    lives.set(epoch, COUNT)
    proxy.cut()
    const cutAt = performance.now()
    for (let from = STEP + 1; from < COUNT - STEP; from += STEP) await publish(from, STEP)
    await pause(cutAt + CUT_MS - performance.now())
    proxy.heal()
    await until('they are together again', () => cutOff.mesh.members().length === 1, 20_000)
    await publish(COUNT - STEP + 1, STEP)
    await until('all was told of', () => ledgers.every(toldAll), 30_000).catch((error: unknown) => {
      console.log(JSON.stringify(ledgers.map(({ told }) => [told.length, told.at(-1)])), cutOff.mesh.events.figures())
      console.log(cutOff.log.lines.slice(-20))
      throw error
    })
    for (const ledger of ledgers) ledger.check(publisher.id, lives, 1)
    const [plain, acknowledged, ...small] = ledgers
    for (const ledger of [plain, acknowledged]) {
      assert.equal(ledger?.came(publisher.id, epoch).length, COUNT)
      assert.deepEqual(ledger?.missed(publisher.id, epoch), [])
    }
    for (const ledger of small) {
      const missed = ledger.missed(publisher.id, epoch)
      // What goes out of the history while it is being read is named as well, right behind.
      assert.ok(missed.length > 0)
      assert.ok(
        missed.every(([from], i) => from === (missed[i - 1]?.[1] ?? STEP) + 1),
        JSON.stringify(missed),
      )
      assert.ok((missed.at(-1)?.[1] ?? 0) > COUNT - 10_000, JSON.stringify(missed))
    }
    console.log(`told of all after ${Math.round(performance.now() - startedAt)} ms`, cutOff.mesh.events.figures())
  })

  it('all come to one that comes late, in order and none twice, or are named', async () => {
    const late = await startMesh({ ...options, name: 'late', listen: [], join: publisher.addresses })
    await late.mesh.joined()
    const startedAt = performance.now()
    const own: Ledger[] = []
    for (const word of ['large', 'small']) own.push(await listen(late, word, 'late', { from: 'earliest' }))
    await until('all was told of', () => own.every(toldAll), 30_000)
    console.log(`${COUNT} replayed after ${Math.round(performance.now() - startedAt)} ms`)
    for (const ledger of own) ledger.check(publisher.id, lives, 1)
    const [large, small] = own
    assert.equal(large?.came(publisher.id, epoch).length, COUNT)
    assert.equal(small?.missed(publisher.id, epoch).length, 1)
    // A slow listener slows the replay: nothing overflows.
    const last = createLedger('the last 500')
    const slow = await late.mesh.events.subscribe('large.#', (event) => pause(1).then(() => last.hear(event)), {
      from: { last: 500 },
      onMissed: last.miss,
    })
    await until('the last 500 came', () => last.told.length === 500, 10_000)
    last.check(publisher.id, lives, COUNT - 499)
    void slow.stop()
  })
})

describe('a subscriber with a name that is killed', { timeout: 60_000 }, () => {
  let folder = ''
  let publisher: OwnMesh
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-events-'))
  })
  after(async () => {
    await stopMeshes()
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('goes on where it was, and reads what it missed; so it does where the publisher was started anew', async () => {
    const options: MeshOptionsInput = {
      mesh: 'named',
      secret: makeSecret(),
      timings,
      events: { history: [{ topic: 'work', store: 'disk' }] },
    }
    const [port = 0] = await freePorts(1)
    const listenAt = [`/ip4/127.0.0.1/tcp/${port}`]
    const startPublisher = () =>
      startMesh({ ...options, name: 'p', listen: listenAt, dataDir: join(folder, 'publisher') })
    publisher = await startPublisher()
    const startSubscriber = async (): Promise<PeerProcess & { read(): Promise<number[]> }> => {
      const process = forkProcess()
      await process.ask('start', { ...options, name: 's', listen: [], join: listenAt, dataDir: join(folder, 's') })
      await process.ask('joined', {})
      const { subscription } = await process.ask('subscribe', {
        pattern: 'work.#',
        reading: { from: 'earliest', ack: true, name: 'worker' },
      })
      const read = async () => {
        const { events } = await process.ask('heard', { subscription })
        return events.map(({ data }) => (data as { n: number }).n)
      }
      return { ...process, read }
    }
    const publish = async (from: number, count: number): Promise<void> => {
      const sent = Array.from({ length: count }, (_, i) => publisher.mesh.events.publish('work.x', { n: from + i }))
      await Promise.all(sent)
    }
    const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

    await publish(1, 500)
    const first = await startSubscriber()
    await until('the first life read', async () => (await first.read()).length === 500)
    // Its position is written within a second.
    await pause(1_500)
    await publish(501, 100)
    await until('the first life read on', async () => (await first.read()).length === 600)
    await first.kill()
    await publish(601, 400)
    await publisher.mesh.stop()
    publisher = await startPublisher()
    await publish(1_001, 200)
    const second = await startSubscriber()
    await until('the second life read all', async () => (await second.read()).at(-1) === 1_200, 15_000)
    const again = await second.read()
    const start = again[0] ?? 0
    assert.ok(start > 500 && start <= 601, `it went on from ${start}`)
    assert.deepEqual(again, numbers(start, 1_200))
  })
})
