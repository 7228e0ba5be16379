import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import { createGossipPenalties, FAULT_BURST, STRIKES } from '../../../../../node/network/gossip/gossip-penalties.ts'
import {
  CONTROL_BURST,
  MAX_OPEN_BYTES,
  MAX_OPEN_CHECKS,
  MESSAGE_BURST,
  MESSAGES_PER_S,
  SLICE_MESSAGES,
} from '../../../../../node/network/gossip/gossip-rate-limit.ts'
import { createGossipReader } from '../../../../../node/network/gossip/gossip-reader.ts'
import { keptLog } from '../../../../support/meshes.ts'

interface Rpc {
  subscriptions: unknown[]
  messages: { topic: string; seqno?: Uint8Array }[]
  control?: { graft: unknown[]; prune: unknown[] }
}
const messages = (count: number, topic = 'tasks'): Rpc => ({
  subscriptions: [],
  messages: Array.from({ length: count }, () => ({ topic })),
})
const subscriptions = (count: number): Rpc => ({ subscriptions: Array.from({ length: count }), messages: [] })

/** Lets everything happen that needs no time. */
const turns = async (count = 20): Promise<void> => {
  for (let n = 0; n < count; n += 1) await new Promise((resolve) => setImmediate(resolve))
}

/**
 * An intake over a gossipsub that does nothing but count, in virtual time; each RPC is one read.
 * @param openBytes of each message that goes under check
 */
const setUp = (openBytes = 1) => {
  let now = 0
  const due: { at: number; fn: () => void }[] = []
  const handled: Rpc[] = []
  const cut: string[] = []
  const stream = { status: 'open', readStatus: 'readable', pauses: 0, pause: () => {}, resume: () => {} }
  stream.pause = () => {
    if (stream.readStatus === 'readable') stream.pauses += 1
    stream.readStatus = 'paused'
  }
  stream.resume = () => {
    stream.readStatus = 'readable'
  }
  const rpcs = new Map<number, Rpc | 'nonsense'>()
  let taken = 0
  const gossip = {
    streamsInbound: new Map([['p', { rawStream: stream }]]),
    pipePeerReadStream: async (_peer: unknown, _source: AsyncIterable<Uint8Array>): Promise<void> => {},
    decodeRpc(bytes: Uint8Array) {
      const rpc = rpcs.get(Buffer.from(bytes).readUInt32BE())
      if (rpc === undefined || rpc === 'nonsense') throw new Error('nonsense')
      return rpc
    },
    async handleReceivedRpc(_: unknown, rpc: Rpc) {
      handled.push(rpc)
      for (const { topic } of rpc.messages) if (topic === 'slow') intake.checkStarted('p', openBytes)
    },
    handlePeerReadStreamError: () => {},
  }
  const log = keptLog()
  const intake = createGossipReader({
    gossip: gossip as unknown as GossipSub,
    penalties: createGossipPenalties(),
    timers: {
      after(ms, fn) {
        due.push({ at: now + ms, fn })
        return () => {}
      },
      every: () => () => {},
    },
    log,
    now: () => now,
    isSubscribed: (topic) => topic !== 'unknown',
    cut: (peer) => void cut.push(peer),
  })
  /** Reads these; resolves when all were read. */
  const read = (...given: (Rpc | 'nonsense')[]): Promise<void> => {
    const chunks = given.map((rpc) => {
      rpcs.set(taken, rpc)
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(taken)
      taken += 1
      return bytes
    })
    async function* source() {
      yield* chunks
    }
    return gossip.pipePeerReadStream({ toString: () => 'p' }, source())
  }
  const advance = async (ms: number): Promise<void> => {
    await turns()
    now += ms
    const all = due.splice(0)
    due.push(...all.filter(({ at }) => at > now))
    for (const { at, fn } of all) if (at <= now) fn()
    await turns()
  }
  const messagesHandled = (): number => handled.reduce((sum, rpc) => sum + rpc.messages.length, 0)
  return { intake, read, advance, handled, messagesHandled, stream, cut, log }
}

describe('what gossip reads of a neighbour', () => {
  it('is paused for a turn after a slice, and not before', async () => {
    const { read, stream, messagesHandled } = setUp()
    await read(messages(SLICE_MESSAGES - 1))
    assert.equal(stream.pauses, 0)
    await read(messages(1), messages(1))
    assert.deepEqual([stream.pauses, stream.readStatus, messagesHandled()], [1, 'readable', SLICE_MESSAGES + 1])
  })

  it('is handed on a slice at a time where one RPC holds more, and the control messages of it once', async () => {
    const { read, handled, messagesHandled } = setUp()
    const control = { graft: [{}], prune: [] }
    await read({ ...messages(3 * SLICE_MESSAGES + 1), control })
    assert.equal(messagesHandled(), 3 * SLICE_MESSAGES + 1)
    assert.ok(handled.every((rpc) => rpc.messages.length <= SLICE_MESSAGES))
    assert.deepEqual(
      handled.map((rpc) => rpc.control),
      [control, undefined, undefined, undefined],
    )
  })

  it('has at most so many messages under check, and goes on when half of them were checked', async () => {
    const { intake, read, messagesHandled } = setUp()
    const reading = read(...Array.from({ length: 3 }, () => messages(SLICE_MESSAGES, 'slow')))
    await turns()
    assert.equal(messagesHandled(), MAX_OPEN_CHECKS)
    for (let n = 0; n < MAX_OPEN_CHECKS / 2 - 1; n += 1) intake.checkEnded('p', 1)
    await turns()
    assert.equal(messagesHandled(), MAX_OPEN_CHECKS)
    intake.checkEnded('p', 1)
    await turns()
    assert.equal(messagesHandled(), MAX_OPEN_CHECKS + SLICE_MESSAGES)
    for (let n = 0; n < MAX_OPEN_CHECKS; n += 1) intake.checkEnded('p', 1)
    await reading
  })

  it('has at most so many bytes under check, whatever the size of its messages, and what waited is counted', async () => {
    const large = MAX_OPEN_BYTES / 4
    const { intake, read, messagesHandled } = setUp(large)
    const reading = read(...Array.from({ length: 12 }, () => messages(1, 'slow')))
    await turns()
    assert.deepEqual([messagesHandled(), intake.counts().putOff], [4, 1])
    intake.checkEnded('p', large)
    await turns()
    assert.equal(messagesHandled(), 4)
    intake.checkEnded('p', large)
    await turns()
    assert.deepEqual([messagesHandled(), intake.counts().putOff], [6, 2])
    for (let n = 0; n < 10; n += 1) {
      intake.checkEnded('p', large)
      await turns()
    }
    await reading
    assert.equal(messagesHandled(), 12)
  })

  it('keeps to a rate of messages beyond a burst', async () => {
    const { read, advance, messagesHandled } = setUp()
    const reading = read(...Array.from({ length: MESSAGE_BURST + MESSAGES_PER_S }, () => messages(1)))
    await turns((2 * MESSAGE_BURST) / SLICE_MESSAGES)
    assert.ok(Math.abs(messagesHandled() - MESSAGE_BURST) <= SLICE_MESSAGES + 1, `${messagesHandled()}`)
    for (let ms = 0; ms < 1_000; ms += 5) await advance(5)
    await reading
    assert.equal(messagesHandled(), MESSAGE_BURST + MESSAGES_PER_S)
  })

  it('keeps to a rate of subscriptions beyond a burst', async () => {
    const { read, advance, handled } = setUp()
    const reading = read(subscriptions(CONTROL_BURST), subscriptions(1), subscriptions(1))
    await turns()
    assert.equal(handled.length, 2, 'the one beyond the burst is paid for afterwards')
    await advance(1_000)
    await reading
    assert.equal(handled.length, 3)
  })

  it('drops what nobody here hears, which is no fault, and what is signed, which is one', async () => {
    const { intake, read, handled } = setUp()
    const signed = { topic: 'tasks', seqno: new Uint8Array(8) }
    await read({ ...messages(2), messages: [{ topic: 'unknown' }, { topic: 'tasks' }, signed] })
    assert.deepEqual(
      handled.flatMap((rpc) => rpc.messages),
      [{ topic: 'tasks' }],
    )
    const { refused } = intake.counts()
    assert.deepEqual([refused.unheard, refused.signed], [1, 1])
    for (let n = 0; n < 10 * FAULT_BURST; n += 1) intake.refused('p', 'unheard')
    assert.equal(intake.counts().paused, 0)
  })

  it('stops for a second when it has to be refused too often, and ends when that goes on', async () => {
    const { intake, read, advance, cut, handled, log } = setUp()
    const reading = read(...Array.from({ length: 200 }, (): 'nonsense' => 'nonsense'), messages(1))
    await turns()
    assert.deepEqual([intake.counts().refused.undecodable, intake.counts().paused, cut], [FAULT_BURST + 1, 1, []])
    assert.equal(intake.banReason('p'), undefined)
    for (let strike = 1; strike < STRIKES; strike += 1) await advance(1_000)
    assert.deepEqual(cut, ['p'])
    assert.equal(intake.banReason('p')?.details.reason, 'cut-off')
    await reading
    assert.equal(handled.length, 1, 'what it sent until the connection was gone')
    assert.equal(log.lines.filter(({ level }) => level === 'warn').length, STRIKES)
  })
})
