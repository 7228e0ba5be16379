/** A mesh over QUIC: calls, streams, events, who is let in, and who is not. Skipped where the optional package is missing. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { quicTransport } from '../../node/network/transports/quic.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { BRISK, type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, startPeer } from '../support/processes.ts'
import { noQuic, useQuic, useQuicInProcesses } from '../support/quic.ts'
import { callTally, tally } from '../support/tally.ts'
import { failureOf, until } from '../support/until.ts'

const QUIC = '/ip4/127.0.0.1/udp/0/quic-v1'
const CALLS = 20_000

describe('a mesh over QUIC', { timeout: 60_000, skip: noQuic() }, () => {
  const common = { mesh: 'quic', secret: makeSecret(), timings: BRISK }
  let listener: OwnMesh
  let dialler: OwnMesh

  before(async () => {
    useQuic()
    listener = await startMesh({ ...common, name: 'listener', listen: [QUIC] })
    dialler = await startMesh({ ...common, name: 'dialler', listen: [], join: listener.mesh.self.addresses })
    await dialler.mesh.joined({ signal: AbortSignal.timeout(10_000) })
    await untilKnown(listener.mesh, dialler.mesh.self.id)
  })
  after(stopMeshes)

  it('the address that it tells is one of QUIC, and TCP is not there', () => {
    const [address = '', ...others] = listener.mesh.self.addresses
    assert.match(address, /^\/ip4\/127\.0\.0\.1\/udp\/[1-9]\d*\/quic-v1\/p2p\/12D3/)
    assert.deepEqual(others, [])
  })

  it(`${CALLS.toLocaleString('en')} calls are answered, each run once`, async (t) => {
    let runs = 0
    await listener.mesh.serve(tally, {
      twice({ n }) {
        runs += 1
        return { n: 2 * n }
      },
    })
    const told = await callTally(dialler.mesh, listener.mesh.self.id, { count: CALLS, inFlight: 64 })
    t.diagnostic(`${CALLS} calls in ${told.ms} ms`)
    assert.deepEqual({ ...told, ms: 0 }, { answered: CALLS, wrong: 0, failed: 0, failure: undefined, ms: 0 })
    assert.equal(runs, CALLS)
  })

  it('the listener calls back over the connection that it did not dial', async () => {
    assert.deepEqual(await listener.mesh.to(dialler.mesh.self.id, probe).who({}), { id: dialler.mesh.self.id })
  })

  it('a stream of large items is held back by its reader and arrives in order', async () => {
    let expected = 0
    for await (const { n } of dialler.mesh.to(listener.mesh.self.id, probe).count({ to: 1_000, bytes: 20_000 })) {
      expected += 1
      assert.equal(n, expected)
      if (n !== 10) continue
      let made = -1
      const stands = (): boolean => {
        const isSame = made === listener.journal.made
        made = listener.journal.made
        return isSame
      }
      await until('the other side waits for the reader', stands, 10_000, 50)
      assert.ok(made < 500, `${made} items were made ahead`)
    }
    assert.equal(expected, 1_000)
  })

  it('events reach the other side', async () => {
    const heard: unknown[] = []
    await listener.mesh.events.subscribe('quic.*', ({ data }) => void heard.push(data))
    await until('it is heard of', async () => (await dialler.mesh.events.publish('quic.first', 0)).recipients > 0)
    const numbers = Array.from({ length: 200 }, (_, n) => n + 1)
    for (const n of numbers) await dialler.mesh.events.publish('quic.more', n)
    await until('all are heard', () => heard.length >= 201)
    assert.deepEqual(heard.slice(-200), numbers)
  })

  it('who has another secret is refused, as over TCP', async () => {
    const options = { ...common, name: 'stranger', secret: makeSecret(), join: listener.mesh.self.addresses }
    const stranger = await startMesh({ ...options, listen: [QUIC] })
    await until('it is refused', () => listener.log.lines.some(({ message }) => /refused a peer/.test(message)))
    assert.deepEqual(stranger.mesh.members(), [])
  })

  it('an address that expects another key gets no connection', async () => {
    const [address = ''] = listener.mesh.self.addresses
    const join = [address.replace(/12D3\w+$/, dialler.mesh.self.id)]
    const other = await startMesh({ ...common, name: 'other', join })
    const line = await until('the dial fails', () =>
      other.log.lines.find(({ message }) => message.startsWith('cannot join')),
    )
    assert.match(line.message, new RegExp(`${dialler.mesh.self.id}.*${listener.mesh.self.id}`))
    assert.deepEqual(other.mesh.members(), [])
  })

  it('a node with both is dialled by QUIC and by TCP', async () => {
    const both = await startMesh({ ...common, name: 'both', listen: [QUIC, '/ip4/127.0.0.1/tcp/0'] })
    for (const way of ['quic-v1', 'tcp']) {
      const join = both.mesh.self.addresses.filter((address) => address.includes(way))
      assert.equal(join.length, 1)
      const node = await startMesh({ ...common, name: `by-${way}`, listen: [], join })
      await node.mesh.joined({ signal: AbortSignal.timeout(10_000) })
      assert.deepEqual(await node.mesh.to(both.mesh.self.id, probe).echo({ text: way }), { text: way })
    }
  })
})

describe('two processes over QUIC', { timeout: 60_000, skip: noQuic() }, () => {
  after(endProcesses)

  it('one is killed with calls in work: each of them ends, and the other goes on with the next peer', async () => {
    useQuicInProcesses()
    const options = { mesh: 'quic', secret: makeSecret(), timings: BRISK }
    const caller = await startPeer({ ...options, name: 'caller', listen: [QUIC] })
    const callee = async (name: string) => {
      const peer = await startPeer({ ...options, name, listen: [QUIC], join: caller.addresses })
      await peer.ask('serveTally', undefined)
      await peer.ask('joined', {})
      return peer
    }
    const first = await callee('first')
    const begun = Array.from({ length: 20 }, (_, i) =>
      caller.ask('begin', { to: first.id, method: 'hold', input: { tag: `${i}` } }),
    )
    const calls = await Promise.all(begun)
    await until('all are in work', async () => (await first.ask('journal', undefined)).held.length === 20)
    await first.kill()
    for (const call of calls) await failureOf(caller.ask('outcome', { call }))
    const second = await callee('second')
    const again = await caller.ask('callTally', { to: second.id, count: 2_000, inFlight: 64 })
    assert.equal(again.answered, 2_000, again.failure)
  })
})

describe('without the package', () => {
  afterEach(stopMeshes)
  const absent = Object.assign(new Error("Cannot find package '@chainsafe/libp2p-quic' imported from here"), {
    code: 'ERR_MODULE_NOT_FOUND',
  })

  it('a node that should listen on QUIC says what to install', async () => {
    await assert.rejects(
      quicTransport([QUIC], () => Promise.reject(absent)),
      (error) => {
        assert.ok(isParleyError(error, 'STA003'))
        assert.match(error.message, /QUIC needs the package @chainsafe\/libp2p-quic, which is not installed/)
        assert.match(error.hint ?? '', /npm install @chainsafe\/libp2p-quic, or use TCP/)
        return true
      },
    )
  })

  it('a platform without a native part is named', async () => {
    const broken = new Error('Cannot find native binding')
    await assert.rejects(
      quicTransport([QUIC], () => Promise.reject(broken)),
      (error) => {
        assert.ok(isParleyError(error, 'STA003'))
        assert.match(error.message, new RegExp(`does not work on ${process.platform}.*native binding`))
        assert.match(error.hint ?? '', /use TCP/)
        return true
      },
    )
  })

  it('a node that only speaks TCP does not ask for it', async () => {
    let asked = 0
    await quicTransport(['/ip4/127.0.0.1/tcp/0'], () => {
      asked += 1
      return Promise.reject(absent)
    })
    assert.equal(asked, 0)
  })
})
