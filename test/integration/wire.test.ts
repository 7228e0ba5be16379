/** Versions, answers to third parties, compression, priority, and the transports. */
import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { type MeshOptionsInput, makeSecret } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { newerProbe, probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

const secret = makeSecret()

describe('between two minor versions of a protocol', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let older: Peer
  let newer: Peer

  before(async () => {
    const options = { mesh: 'versions', secret }
    ours = await startMesh({ ...options, name: 'ours' })
    const join = ours.mesh.self.addresses
    ;[older, newer] = await Promise.all([
      startPeer({ ...options, name: 'older', join }),
      startPeer({ ...options, name: 'newer', join }, { serve: false }),
    ])
    await newer.ask('serveNewer', undefined)
    await untilKnown(ours.mesh, older.id, newer.id)
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  it('an older node calls a newer one', async () => {
    assert.deepEqual(await ours.mesh.to(newer.id, probe).echo({ text: 'old words' }), { text: 'old words' })
    assert.deepEqual(await older.ask('call', { to: newer.id, method: 'echo', input: { text: 'x' } }), { text: 'x' })
    const numbers: number[] = []
    for await (const { n } of ours.mesh.to(newer.id, probe).count({ to: 5 })) numbers.push(n)
    assert.deepEqual(numbers, [1, 2, 3, 4, 5])
  })

  it('a newer node calls an older one: fields that it does not know are left out, methods refused', async () => {
    const client = ours.mesh.to(older.id, newerProbe)
    assert.deepEqual(await client.echo({ text: 'new words', shout: true }), { text: 'new words' })
    const error = await failureOf(client.reverse({ text: 'abc' }))
    assert.ok(isParleyError(error, 'MSG004'), `${error}`)
  })

  it('the new is there between newer nodes, and any() finds the one that has it', async () => {
    assert.deepEqual(await ours.mesh.to(newer.id, newerProbe).echo({ text: 'loud', shout: true }), {
      text: 'LOUD',
      length: 4,
    })
    for (let i = 0; i < 10; i += 1) {
      assert.deepEqual(await ours.mesh.any(newerProbe).reverse({ text: 'abc' }), { text: 'cba' })
    }
  })

  it('the directory says which version each has', () => {
    const versions = ours.mesh.directory.offers('probe', 1).map(({ name, version }) => `${name} ${version}`)
    assert.deepEqual(versions.toSorted(), ['newer 1.3.0', 'older 1.0.0'])
  })

  it('all() gathers the answers of both, and of this node', async () => {
    const answers: string[] = []
    for await (const reply of ours.mesh.all(probe).who({})) answers.push('value' in reply ? reply.value.id : 'failed')
    assert.deepEqual(answers.toSorted(), [ours.mesh.self.id, older.id, newer.id].toSorted())
  })

  it('an answer goes to a third process where the caller wants it so', async () => {
    const accepted = await ours.mesh
      .to(newer.id, probe)
      .echo({ text: 'for the third' }, { replyTo: older.id, conversationId: 'talk-1' })
    const [reply] = await until('the third has it', async () => {
      const replies = await older.ask('replies', undefined)
      return replies.length > 0 && replies
    })
    assert.deepEqual(reply, {
      from: newer.id,
      requester: ours.mesh.self.id,
      correlationId: accepted.id,
      conversationId: 'talk-1',
      value: { text: 'for the third', length: 13 },
      code: undefined,
    })
    await ours.mesh.to(newer.id, probe).fail({ typed: true }, { replyTo: older.id })
    const failed = await until('so does a failure', async () => (await older.ask('replies', undefined))[1])
    assert.deepEqual([failed.value, failed.code], [undefined, 'STA001'])
  })

  it('an answer goes to a topic where the caller wants it so', async () => {
    const { subscription } = await older.ask('subscribe', { pattern: 'answers.*' })
    const { id } = await ours.mesh.to(newer.id, probe).echo({ text: 'for all' }, { replyTo: 'topic:answers.echo' })
    const [event] = await until('it is heard', async () => {
      const { events } = await older.ask('heard', { subscription })
      return events.length > 0 && events
    })
    assert.ok(event !== undefined)
    assert.deepEqual([event.topic, event.source], ['answers.echo', newer.id])
    assert.deepEqual(event.data, {
      correlationId: id,
      requester: ours.mesh.self.id,
      value: { text: 'for all', length: 7 },
    })
  })

  it('a third process may be told by its name; one that nobody has is refused before anything is called', async () => {
    const before = (await older.ask('replies', undefined)).length
    const { id } = await ours.mesh.to('newer', probe).echo({ text: 'by name' }, { replyTo: 'older' })
    const reply = await until('the third has it', async () => (await older.ask('replies', undefined))[before])
    assert.deepEqual([reply.correlationId, reply.from], [id, newer.id])
    const error = await failureOf(ours.mesh.to('newer', probe).echo({ text: 'x' }, { replyTo: 'odler' }))
    assert.ok(isParleyError(error, 'COM002') && error.details.reason === 'unknown-name', `${error}`)
    assert.match(error.hint ?? '', /did you mean older\?/)
    assert.ok(
      isParleyError(await failureOf(ours.mesh.to('newer', probe).echo({ text: 'x' }, { replyTo: 'a b' })), 'MSG001'),
    )
  })

  it('an answer that its third party does not take is counted where it was made', async () => {
    const nobody = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'
    await ours.mesh.to(newer.id, probe).echo({ text: 'to nobody' }, { replyTo: nobody })
    await until('it is counted', async () => (await newer.ask('facts', undefined)).figures.replies.lost === 1, 15_000)
  })
})

describe('on the wire', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let plain: Peer
  let lan: Peer

  before(async () => {
    const options = { mesh: 'wire', secret }
    // A window that lets bulk pile up at its sender, where priorities decide what goes first.
    ours = await startMesh({ ...options, name: 'ours', preset: 'lan', limits: { streamWindow: 4_000 } })
    const join = ours.mesh.self.addresses
    ;[plain, lan] = await Promise.all([
      startPeer({ ...options, name: 'plain', join, limits: { maxQueuedBytes: 16 << 20 } }),
      startPeer({ ...options, name: 'lan', preset: 'lan', join }),
    ])
    await untilKnown(ours.mesh, plain.id, lan.id)
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  const text = 'the quick brown fox jumps over the lazy dog; '.repeat(5_000)
  const costs = async (peer: Peer): Promise<number> => {
    const { links: before } = ours.mesh.figures()
    const answer = await ours.mesh.to(peer.id, probe).echo({ text })
    assert.ok(answer.text === text)
    const { links: after } = ours.mesh.figures()
    return after.bytesOut - before.bytesOut + after.bytesIn - before.bytesIn
  }

  it('payloads are compressed where both sides can, and go as they are where one cannot', async () => {
    // A link learns what the other side can from its first frame.
    for (const peer of [plain, lan]) await ours.mesh.to(peer.id, probe).echo({ text: 'first' })
    const [toPlain, toLan] = [await costs(plain), await costs(lan)]
    assert.ok(toPlain > 2 * text.length, `${toPlain} bytes`)
    assert.ok(toLan < toPlain / 20, `${toLan} bytes against ${toPlain}`)
  })

  it('streams are compressed item by item, and stay in order', async () => {
    const before = ours.mesh.figures().links.bytesIn
    const numbers: number[] = []
    for await (const { n, fill } of ours.mesh.to(lan.id, probe).count({ to: 200, bytes: 20_000 })) {
      assert.equal(fill.length, 20_000)
      numbers.push(n)
    }
    assert.deepEqual(
      numbers,
      Array.from({ length: 200 }, (_, i) => i + 1),
    )
    const bytes = ours.mesh.figures().links.bytesIn - before
    assert.ok(bytes < 400_000, `${bytes} bytes for 4 MB`)
  })

  it('an urgent call overtakes bulk that waits on the same link', async () => {
    const client = ours.mesh.to(plain.id, probe)
    let received = 0
    let done = false
    const readers = Array.from({ length: 8 }, async () => {
      for await (const { fill } of client.count({ to: 1_000_000, bytes: 100_000 })) {
        received += fill.length
        if (done) return
      }
    })
    /** Bulk that came between a call and its answer. */
    const behind = async (priority: 'normal' | 'critical'): Promise<number> => {
      const before = received
      await client.echo({ text: priority }, { priority })
      return received - before
    }
    await until('the bulk flows', () => received > 5_000_000)
    const bytes = { normal: 0, critical: 0 }
    for (let i = 0; i < 5; i += 1) {
      bytes.critical += await behind('critical')
      bytes.normal += await behind('normal')
    }
    done = true
    await Promise.all(readers)
    assert.ok(bytes.critical * 2 < bytes.normal, `critical ${bytes.critical}, normal ${bytes.normal}`)
  })
})

describe('over each transport', { timeout: 60_000 }, () => {
  after(async () => {
    endProcesses()
    await stopMeshes()
  })
  const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))

  const meets = async (name: string, listen: string, joined: RegExp, options: MeshOptionsInput = {}): Promise<void> => {
    const common = { mesh: name, secret, listen: [listen], ...options }
    const ours = await startMesh({ ...common, listen: [listen], name: 'ours' })
    assert.match(ours.mesh.self.addresses[0] ?? '', joined)
    const peer = await startPeer({ ...common, name: 'theirs', join: ours.mesh.self.addresses })
    await peer.ask('joined', {})
    await untilKnown(ours.mesh, peer.id)
    const text = 'x'.repeat(1 << 20)
    assert.ok((await ours.mesh.to(peer.id, probe).echo({ text })).text === text)
    assert.deepEqual(await peer.ask('call', { method: 'echo', to: ours.mesh.self.id, input: { text: 'back' } }), {
      text: 'back',
    })
    let items = 0
    for await (const { n } of ours.mesh.to(peer.id, probe).count({ to: 500 })) items = n
    assert.equal(items, 500)
    const { subscription } = await peer.ask('subscribe', { pattern: 'sky.#' })
    await ours.mesh.events.publish('sky.blue', { n: 1 })
    await until('the event came', async () => (await peer.ask('heard', { subscription })).count === 1)
    await peer.kill()
    await until('its end is noticed', () => ours.mesh.members().length === 0)
  }

  it('TCP over IPv6', { skip: hasIpv6 ? false : 'this machine has no IPv6 loopback (::1)' }, () =>
    meets('sixth', '/ip6/::1/tcp/0', /^\/ip6\/::1\/tcp\/\d+\/p2p\//),
  )

  it('WebSocket', () => meets('web', '/ip4/127.0.0.1/tcp/0/ws', /\/ws\/p2p\//))

  it('WebSocket, dialled by a node that listens on TCP', () =>
    meets('mixed', '/ip4/127.0.0.1/tcp/0/ws', /\/ws\/p2p\//, { listen: ['/ip4/127.0.0.1/tcp/0'] }))

  it('TCP by a host name', async () => {
    const common = { mesh: 'named', secret }
    const ours = await startMesh({ ...common, name: 'ours' })
    const port = /tcp\/(\d+)/.exec(ours.mesh.self.addresses[0] ?? '')?.[1]
    const peer = await startPeer({ ...common, name: 'theirs', join: [`/dns4/localhost/tcp/${port}`] })
    await peer.ask('joined', {})
    await untilKnown(ours.mesh, peer.id)
  })
})
