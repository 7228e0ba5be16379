/** A peer whose gossip forgets, as go-libp2p's does, what this node hears when the stream dies on which it spoke. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { makeSecret } from '../../node/index.ts'
import { loadIdentity } from '../../node/trust/identity.ts'
import { type GoLikePeer, keyAfter, startGoLikePeer } from '../support/go-like-peer.ts'
import { startMesh, stopMeshes } from '../support/meshes.ts'
import { freePorts } from '../support/ports.ts'
import { until } from '../support/until.ts'

const MESH = 'foreign-gossip'
const TOPIC = `parley/${MESH}/events/news`

describe('a foreign peer and this node that dial each other at once, this node with the lower id', {
  timeout: 30_000,
}, () => {
  let folder = ''
  let foreign: GoLikePeer | undefined
  after(async () => {
    await foreign?.stop()
    await stopMeshes()
    await rm(folder, { recursive: true, force: true })
  })

  it('hear each other after the one connection is closed on which the peer had spoken', async () => {
    const secret = makeSecret()
    folder = await mkdtemp(join(tmpdir(), 'parley-foreign-'))
    const self = peerIdFromPrivateKey(await loadIdentity(folder)).toString()
    const [port = 0] = await freePorts(1)
    const listen = [`/ip4/127.0.0.1/tcp/${port}`]
    const peer = await startGoLikePeer(await keyAfter(self), MESH, secret)
    foreign = peer
    // The peer answers no probe.
    const timings = { deadAfterMs: 60_000 }
    const { mesh } = await startMesh({ mesh: MESH, secret, timings, dataDir: folder, listen, join: [peer.address] })
    await mesh.events.subscribe('news.#', () => undefined)
    await until('this node dialled', () => peer.libp2p.getConnections().length > 0)
    // That connection is admitted once the peer has spoken on its own.
    const connection = await peer.dial(`${listen[0]}/p2p/${self}`, { force: true })
    await peer.admit(connection, MESH, [await peer.token(MESH, secret)])
    await peer.speak(connection)
    const { gossip } = peer.libp2p.services
    gossip.subscribe(TOPIC)
    await until('the connection that it dialled was closed', () => connection.status !== 'open')
    await until('it spoke again on the other one', () => peer.streams() === 2)
    await until('it knows what this node hears', () => gossip.getSubscribers(TOPIC).length === 1, 3_000)
    const before = mesh.figures().gossip.rejected
    await gossip.publish(TOPIC, new Uint8Array(64))
    await until('what it said was looked at', () => mesh.figures().gossip.rejected > before)
    assert.equal(peer.libp2p.getConnections().length, 1)
  })
})
