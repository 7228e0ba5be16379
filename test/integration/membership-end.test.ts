/** Memberships that end while the peer is connected: a secret that was changed, a token that ran out. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { hash } from '../../node/platform/platform.ts'
import { BatchDraft, putEvent, signingPrefixes } from '../../protocols/events/batch/batch-encoder.ts'
import { ProtobufWriter } from '../../protocols/wire/frames/protobuf.ts'
import { BRISK, startMesh, stopMeshes } from '../support/meshes.ts'
import { endProcesses, type Peer, RemoteFailure, startPeer, untilMembers } from '../support/processes.ts'
import { type RawPeer, requestBytes, startRawPeer, watch } from '../support/raw-peer.ts'
import { failureOf, until } from '../support/until.ts'

const timings = { ...BRISK, admissionTimeoutMs: 1_000 }

describe('a secret that is changed in two rounds', { timeout: 60_000 }, () => {
  after(endProcesses)

  const count = async (peer: Peer, subscription: number): Promise<number> =>
    (await peer.ask('heard', { subscription })).count
  const echo = (from: Peer, to: Peer): Promise<unknown> =>
    from.ask('call', { to: to.id, method: 'echo', input: { text: 'x' }, options: { timeoutMs: 2_000 } })

  it('ends a former member for calls and for events both ways, and no honest node loses anything', async () => {
    const [old, next] = [makeSecret(), makeSecret()]
    const common = { mesh: 'changes', timings }
    const first = await startPeer({ ...common, name: 'a', secret: old })
    const join = first.addresses
    const others = await Promise.all(
      ['b', 'c', 'former'].map((name) => startPeer({ ...common, name, secret: old, join })),
    )
    const [b, c, former] = others as [Peer, Peer, Peer]
    const honest = [first, b, c]
    await Promise.all([
      untilMembers(first, 'b,c,former'),
      untilMembers(b, 'a,c,former'),
      untilMembers(c, 'a,b,former'),
      untilMembers(former, 'a,b,c'),
    ])
    const all = [...honest, former]
    const heard = new Map<Peer, number>()
    for (const peer of all) heard.set(peer, (await peer.ask('subscribe', { pattern: 'news.#' })).subscription)
    const heardBy = (peer: Peer): Promise<number> => count(peer, heard.get(peer) ?? -1)
    await former.ask('publish', { topic: 'news.former' })
    await first.ask('publish', { topic: 'news.first' })
    for (const peer of all) await until('both were heard', async () => (await heardBy(peer)) === 2)
    await echo(former, first)

    for (const peer of honest) await peer.ask('watchMembers', undefined)
    await Promise.all(
      honest.map((peer) =>
        peer.ask('keepCalling', { to: honest.filter((other) => other !== peer).map(({ id }) => id) }),
      ),
    )
    for (const peer of honest) await peer.ask('reload', { secret: [next, old] })
    await echo(former, b)
    for (const peer of honest) {
      await peer.ask('publish', { topic: 'news.between' })
      await peer.ask('reload', { secret: next })
    }
    for (const peer of honest)
      await until('the former member is gone', async () => (await peer.ask('left', undefined)).includes('former'))
    await until('it is alone', async () => (await former.ask('facts', undefined)).members.length === 0)

    await Promise.all(honest.map((peer) => peer.ask('publish', { topic: 'news.after' })))
    await former.ask('publish', { topic: 'news.forged' }).catch(() => {})
    for (const peer of honest) {
      const error = await failureOf(echo(former, peer))
      assert.ok(error instanceof RemoteFailure)
      assert.ok(error.code === 'SEC001' || error.code === 'COM002', `${error.code} ${error.message}`)
    }
    for (const peer of honest) await until('all are heard', async () => (await heardBy(peer)) >= 8)
    for (const peer of honest) {
      const { events, missed } = await peer.ask('heard', { subscription: heard.get(peer) ?? -1 })
      assert.equal(missed, 0)
      const topics = events.map(({ topic }) => topic).sort()
      const thrice = (topic: string): string[] => [topic, topic, topic]
      assert.deepEqual(topics, [...thrice('news.after'), ...thrice('news.between'), 'news.first', 'news.former'])
      assert.deepEqual(await peer.ask('left', undefined), ['former'])
      const { answered, failures } = await peer.ask('stopCalling', undefined)
      assert.deepEqual(failures, [])
      assert.ok(answered > 10, `${answered}`)
    }
    // Its own it hears, and nobody else does.
    const { events } = await former.ask('heard', { subscription: heard.get(former) ?? -1 })
    assert.ok(!events.some(({ topic }) => topic === 'news.after'))
    assert.deepEqual((await former.ask('facts', undefined)).members, [])
  })
})

describe('a token that runs out', { timeout: 30_000 }, () => {
  const MESH = 'runs-out'
  const secret = makeSecret()
  const raws: RawPeer[] = []
  after(async () => {
    await Promise.all(raws.map((raw) => raw.stop()))
    await stopMeshes()
  })

  it('ends calls, held streams, and gossip both ways, with its connection; a fresh one is let in again', async () => {
    const ours = await startMesh({
      name: 'ours',
      mesh: MESH,
      secret,
      timings: { admissionTimeoutMs: 1_000, deadAfterMs: 60_000 },
    })
    const raw = await startRawPeer()
    raws.push(raw)
    const address = ours.mesh.self.addresses[0] ?? ''
    const topic = `parley/${MESH}/events/news`
    let overheard = 0
    raw.libp2p.services.gossip.addEventListener('message', ({ detail }) => {
      if (detail.topic === topic) overheard += 1
    })
    raw.libp2p.services.gossip.subscribe(topic)
    const heard: string[] = []
    await ours.mesh.events.subscribe('news.#', ({ source }) => void heard.push(source))
    // What a peer is told before it is closed.
    let told = ''
    await raw.libp2p.handle('/parley/admission/1', (stream) => {
      stream.addEventListener('message', ({ data }) => {
        told += Buffer.from(data instanceof Uint8Array ? data : data.subarray()).toString('latin1')
      })
    })

    let number = 0
    const epoch = Date.now()
    const publish = async (): Promise<void> => {
      number += 1
      const writer = new ProtobufWriter(256)
      putEvent(writer, Buffer.from('news.raw'), '{}', undefined)
      const draft = new BatchDraft(
        signingPrefixes(MESH).digest,
        hash,
        { publisher: raw.id, word: 'news' },
        writer.bytes.subarray(0, writer.at),
      )
      const signature = await raw.sign(
        draft.toSign({ publisher: raw.id, word: 'news', epoch, first: number, sentAt: Date.now(), waitedMs: 0 }),
      )
      await raw.libp2p.services.gossip.publish(topic, draft.seal(signature)).catch(() => {})
    }

    const livesS = 4
    const startedAt = performance.now()
    const token = await raw.token(MESH, secret, { livesS })
    const connection = await raw.dial(address)
    await raw.admit(connection, MESH, [token])
    const stream = await connection.newStream('/parley/probe/1')
    const seen = watch(stream)
    stream.send(requestBytes('echo', { text: 'hello' }))
    await until('it is answered', () => seen.text().includes('hello'))
    await until('its events are heard', async () => {
      await publish()
      return heard.includes(raw.id)
    })
    await until('it hears events', async () => {
      await ours.mesh.events.publish('news.ours', {})
      return overheard > 0
    })
    assert.equal(connection.status, 'open')

    await until('the connection is closed', () => connection.status !== 'open')
    const livedMs = performance.now() - startedAt
    assert.ok(livedMs > (livesS - 1) * 1_000, `${livedMs}`)
    assert.ok(livedMs < livesS * 1_050 + 3_000, `${livedMs}`)
    assert.match(told, /ended.*"reason":"expired"/s)
    assert.ok(seen.gone())
    assert.equal(ours.mesh.members().length, 0)
    const heardOfIt = (): number => heard.filter((source) => source === raw.id).length
    const [heardBefore, overheardBefore] = [heardOfIt(), overheard]
    await publish()
    await ours.mesh.events.publish('news.ours', {})
    assert.deepEqual([heardOfIt(), overheard], [heardBefore, overheardBefore])
    assert.ok(
      ours.log.lines.some(({ message }) => /the membership of a peer ended: the membership ran out/.test(message)),
    )

    const fresh = await raw.dial(address)
    await raw.admit(fresh, MESH, [await raw.token(MESH, secret)])
    assert.equal(ours.mesh.members().length, 1)
    await fresh.close()
    await until('it is gone again', () => ours.mesh.members().length === 0)
    const again = await raw.dial(address)
    raw.admit(again, MESH, [token]).catch(() => {})
    await until('it is refused with the old token', () => again.status !== 'open')
    assert.equal(ours.mesh.members().length, 0)
  })
})
