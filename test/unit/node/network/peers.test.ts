/** Which of a peer's connections is in use, and which are closed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { type AdmittedPeerFacts, createPeers } from '../../../../node/network/peers.ts'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'

const facts: AdmittedPeerFacts = {
  name: 'b',
  incarnation: 1,
  membership: { peer: 'b', mesh: 'm', issuer: null, tokenId: null, roles: [], caps: ['*'], lastsMs: 1, endsAt: 1 },
}

/** As much of a connection as is looked at here. */
const connectionTo = (
  peer: string,
  direction: 'inbound' | 'outbound',
  open: number,
  remoteAddr = '/ip4/10.0.0.1/tcp/1',
): Connection => {
  const made = {
    status: 'open',
    remoteAddr,
    direction,
    remotePeer: { toString: () => peer },
    timeline: { open },
    close: async () => {
      made.status = 'closed'
    },
    abort() {},
  }
  return made as unknown as Connection
}

const setUp = () => {
  const time = createVirtualTime()
  const peers = createPeers({ self: 'a', timers: time, now: time.now, busy: () => false })
  const heard: string[] = []
  peers.onMember(({ id }, change, parted) => heard.push(`${change} ${id}${parted === true ? ' parted' : ''}`))
  const [own, theirs] = [connectionTo('b', 'outbound', 0), connectionTo('b', 'inbound', 1)]
  peers.admit(own, facts)
  return { time, peers, heard, own, theirs }
}

for (const how of ['retire', 'remove'] as const) {
  test(`a connection that takes over (${how} of the other) is not closed by the drain that it was in`, async () => {
    const { time, peers, own, theirs } = setUp()
    peers.admit(theirs, facts)
    assert.equal(peers.get('b')?.chosen, own)
    await time.run(200)
    peers[how](own)
    assert.equal(peers.get('b')?.chosen, theirs)
    await time.run(5_000)
    assert.equal(theirs.status, 'open')
  })
}

test('the duplicate that lost is closed by the lower id once it was quiet', async () => {
  const { time, peers, own, theirs } = setUp()
  peers.admit(theirs, facts)
  await time.run(5_000)
  assert.deepEqual([own.status, theirs.status], ['open', 'closed'])
})

test('a direct connection takes the place of a relayed one, whoever dialled it and whenever', async () => {
  const relayed = '/ip4/10.0.0.9/tcp/1/p2p/12D3KooWR/p2p-circuit/p2p/12D3KooWB'
  const { time, peers, own } = setUp()
  const ways = [connectionTo('c', 'outbound', 9, relayed), connectionTo('c', 'inbound', 1)]
  for (const [first, second] of [ways, ways.toReversed()]) {
    if (first === undefined || second === undefined) assert.fail('two ways')
    peers.admit(first, facts)
    peers.admit(second, facts)
    assert.equal(peers.get('c')?.chosen, ways[1])
    for (const way of ways) peers.remove(way)
  }
  for (const way of ways) peers.admit(way, facts)
  await time.run(5_000)
  assert.deepEqual([own.status, ...ways.map(({ status }) => status)], ['open', 'closed', 'open'])
})

test('a connection that is given up is closed, and the peer is said to be well', async () => {
  const { time, peers, heard, own } = setUp()
  peers.retire(own)
  assert.deepEqual([peers.get('b'), own.status], [undefined, 'open'])
  await time.run(5_000)
  assert.deepEqual([own.status, heard], ['closed', ['joined b', 'left b parted']])
})

test('a connection that is lost leaves a peer that may be gone', () => {
  const { peers, heard, own } = setUp()
  peers.remove(own)
  peers.remove(own)
  assert.deepEqual(heard, ['joined b', 'left b'])
})
