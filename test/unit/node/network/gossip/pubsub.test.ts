import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import { gossipsubInternals } from '../../../../../node/network/gossip/gossipsub-internals.ts'
import { createPubsub } from '../../../../../node/network/gossip/pubsub.ts'
import { createVirtualTime } from '../../../../../node/testing/virtual/virtual-time.ts'

/** What the pubsub asks of gossipsub, with a note of what is told to whom. */
const start = () => {
  const time = createVirtualTime()
  const told: string[] = []
  const gossip = Object.assign(new EventTarget(), {
    mesh: new Map([['parley/m/events/news', new Set(['p'])]]),
    streamsOutbound: new Map([['p', {}]]),
    streamsInbound: new Map(),
    pipePeerReadStream: async () => undefined,
    decodeRpc: () => undefined,
    handleReceivedRpc: async () => undefined,
    handlePeerReadStreamError: () => undefined,
    reportMessageValidationResult: () => undefined,
    getTopics: () => ['parley/m/events/news', 'parley/m/agents'],
    sendSubscriptions: (to: string, topics: string[]) => void told.push(`subscriptions ${to} ${topics.length}`),
    sendGraft: (to: string, topics: string[]) => void told.push(`graft ${to} ${topics.length}`),
  })
  const pubsub = createPubsub({
    gossip: gossipsubInternals(gossip as unknown as GossipSub),
    mesh: 'm',
    timers: { after: time.after, every: time.every },
    log: { error: () => undefined, warn: () => undefined, info: () => undefined },
    connections: () => [],
    reopen: () => undefined,
    highWaterBytes: 1,
    maxUnsentBytes: 1,
    cut: () => undefined,
  })
  return { time, told, pubsub }
}

const AGAIN = ['subscriptions p 2', 'graft p 1']

test('a neighbour that opens its gossip stream again is told at once what this node hears, and that it is in its mesh', () => {
  const { told, pubsub } = start()
  pubsub.reopened('p')
  assert.deepEqual(told, AGAIN)
  pubsub.reopened('a peer to which no stream of this node is open')
  assert.deepEqual(told, AGAIN)
})

test('one that opens them without end is told once a second, and not after it left', async () => {
  const { time, told, pubsub } = start()
  for (let n = 0; n < 1_000; n += 1) pubsub.reopened('p')
  assert.deepEqual(told, AGAIN)
  await time.run(999)
  assert.equal(told.length, 2)
  await time.run(2)
  assert.equal(told.length, 4, 'the last ones are not forgotten')
  pubsub.reopened('p')
  pubsub.forget('p')
  await time.run(5_000)
  assert.equal(told.length, 4)
})

test('another release of gossipsub is refused', () => {
  assert.throws(() => gossipsubInternals(new EventTarget() as unknown as GossipSub), TypeError)
})
