/** What follows from connections that come and go, with the table of peers and the breakers that a node has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { type ConnectionEventsDeps, followConnections } from '../../../../node/network/connection-events.ts'
import { type AdmittedPeerFacts, createPeers } from '../../../../node/network/peers.ts'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { DEFAULT_BREAKER } from '../../../../protocols/delivery/recovery/circuit-breaker.ts'
import { PeerBreakers } from '../../../../protocols/delivery/recovery/peer-breakers.ts'
import { ParleyError } from '../../../../protocols/errors.ts'

const setUp = async () => {
  const time = createVirtualTime()
  const remotePeer = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
  const id = remotePeer.toString()
  const peers = createPeers({ self: 'a', timers: time, now: time.now, busy: () => false })
  const breakers = new PeerBreakers()
  const moved: Connection[] = []
  followConnections({
    libp2p: { addEventListener() {}, getConnections: () => [] },
    clock: { monotonic: time.now },
    peers,
    breakers,
    gate: { setGossipConnection: () => false },
    links: { moveTo: (_peer: string, connection: Connection) => void moved.push(connection) },
  } as unknown as ConnectionEventsDeps)
  const membership = { peer: id, mesh: 'm', issuer: null, tokenId: null, roles: [], caps: ['*'], lastsMs: 1, endsAt: 1 }
  const facts: AdmittedPeerFacts = { name: 'b', incarnation: 1, membership }
  const connect = (): Connection => {
    const open = time.now()
    const made = {
      status: 'open',
      remoteAddr: '/ip4/10.0.0.1/tcp/1',
      direction: 'outbound',
      remotePeer,
      timeline: { open },
    }
    peers.admit(made as unknown as Connection, facts)
    return made as unknown as Connection
  }
  const failing = (): void => {
    for (let n = 0; n < DEFAULT_BREAKER.failures; n += 1)
      breakers.failed(id, new ParleyError('COM001', `late ${n}`), time.now())
    assert.equal(breakers.ask(id, time.now()).kind, 'refused')
  }
  return { time, peers, connect, failing, moved, ask: () => breakers.ask(id, time.now()) }
}

test('a peer that is left alone is worth a probe on each new connection, also where its membership goes on', async () => {
  const { time, peers, connect, failing, moved, ask } = await setUp()
  connect()
  failing()
  let left = 0
  peers.onMember((_, change) => {
    if (change === 'left') left += 1
  })
  await time.run(1)
  const next = connect()
  assert.deepEqual([moved.at(-1), left], [next, 0], 'it took the place of the other')
  assert.deepEqual([ask().kind, ask().kind], ['pass', 'refused'], 'one probe')
})

test('a peer that is left alone is worth a probe when it comes back', async () => {
  const { peers, connect, failing, ask } = await setUp()
  failing()
  connect()
  assert.equal(ask().kind, 'pass')
  assert.equal(peers.all().length, 1)
})
