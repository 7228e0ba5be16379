/** Stopping in order, and starting again with the same identity. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { createMesh, makeSecret } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { testFolder } from '../support/folder.ts'
import { BRISK, type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { freePort } from '../support/ports.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, forkProcess, type Peer, RemoteFailure, startPeer } from '../support/processes.ts'
import { failureOf, timed, until } from '../support/until.ts'

/** Beside the time to drain: what an ordered stop and the end of a process may take on a loaded machine. */
const SLACK_MS = 4_000

describe('stop and start', { timeout: 90_000 }, () => {
  const common = { mesh: 'comings-and-goings', secret: makeSecret(), timings: BRISK }
  let ours: OwnMesh
  let directory: string

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'parley-stop-'))
    ours = await startMesh({ ...common, name: 'ours' })
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
    await rm(directory, { recursive: true, force: true })
  })

  const joiner = async (name: string, drainMs: number): Promise<Peer> => {
    const timings = { ...BRISK, drainMs }
    const peer = await startPeer({ ...common, name, timings, join: ours.mesh.self.addresses })
    await untilKnown(ours.mesh, peer.id)
    return peer
  }
  const journalOf = (peer: Peer) => peer.ask('journal', undefined)
  /** Stops the mesh there, lets go of the process and says how it ended, and after how long. */
  const untilItEnds = async (peer: Peer, stopping: Promise<unknown>) => {
    return timed(async () => {
      await stopping
      peer.leaveAlone()
      return peer.ended
    })
  }

  it('lets running work end, refuses new work, says goodbye and ends by itself', async () => {
    const peer = await joiner('patient', 10_000)
    const changes: string[] = []
    const { stop: unwatch } = ours.mesh.directory.onChange((change) => {
      if (change.agent.peer === peer.id && change.type === 'left') changes.push(change.reason)
    })
    const running = ours.mesh.to(peer.id, probe).hold({ tag: 'finishes' })
    await until('it is in work', async () => (await journalOf(peer)).held.includes('finishes'))
    const ending = untilItEnds(peer, peer.ask('stop', undefined))
    await until('it said goodbye', () => changes.length > 0)
    assert.deepEqual(changes, ['left'])
    unwatch()
    const refused = await failureOf(ours.mesh.to(peer.id, probe).hold({ tag: 'too late' }, { timeoutMs: 2_000 }))
    assert.ok(isParleyError(refused, 'COM002'), `${refused}`)
    assert.equal(refused.details.sent, false, 'so that it may be sent elsewhere')
    const { id } = await ours.mesh.any(probe).who({})
    assert.equal(id, ours.mesh.self.id, 'nobody is sent there any more')
    await peer.ask('release', {})
    assert.deepEqual(await running, { tag: 'finishes' })
    const { ms, value } = await ending
    assert.equal(value, 0, peer.complaints())
    assert.ok(ms < SLACK_MS, `${ms} ms`)
    await until('it is gone', () => ours.mesh.members().length === 0)
  })

  it('ends in time while calls, streams and events run both ways: each ends or fails with a code, none hangs', async (t) => {
    const peer = await joiner('busy', 500)
    const { mesh } = ours
    const outcomes = { ok: 0, failed: 0, other: [] as string[] }
    let stopped = false
    // Also where it fails: the loops below would go on forever.
    t.after(() => {
      stopped = true
    })
    const note = (promise: Promise<unknown>): Promise<void> =>
      promise.then(
        () => {
          outcomes.ok += 1
        },
        (error: unknown) => {
          if (isParleyError(error, 'COM001', 'COM002', 'COM004')) outcomes.failed += 1
          else outcomes.other.push(String(error))
        },
      )
    await peer.ask('subscribe', { pattern: 'busy.#' })
    await mesh.events.subscribe('busy.#', () => {})
    const loops: Promise<void>[] = []
    const loop = async (run: () => Promise<unknown>): Promise<void> => {
      while (!stopped) await note(run())
    }
    for (let i = 0; i < 64; i += 1)
      loops.push(loop(() => mesh.to(peer.id, probe).echo({ text: `${i}` }, { timeoutMs: 3_000 })))
    const endless = failureOf(mesh.to(peer.id, probe).hold({ tag: 'endless' }))
    for (let i = 1; i < 50; i += 1) loops.push(note(mesh.to(peer.id, probe).hold({ tag: `held ${i}` })))
    const stream = async (): Promise<void> => {
      for await (const _ of mesh.to(peer.id, probe).count({ to: 100_000_000, bytes: 100 }));
    }
    for (let i = 0; i < 4; i += 1) loops.push(note(stream()))
    loops.push(loop(() => mesh.events.publish('busy.bee', { from: 'ours' })))
    const theirs = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        peer.ask('begin', { to: mesh.self.id, method: 'hold', input: { tag: `theirs ${i}` } }),
      ),
    )
    await until('all of it runs', async () => {
      const { held, made } = await journalOf(peer)
      return held.length === 50 && made > 100 && outcomes.ok > 1_000 && ours.journal.held.length >= theirs.length
    })
    const { ms, value } = await untilItEnds(peer, peer.ask('stop', undefined))
    stopped = true
    assert.equal(value, 0, peer.complaints())
    assert.ok(ms < 500 + SLACK_MS, `${ms} ms`)
    const all = await timed(() => Promise.all(loops))
    assert.ok(all.ms < 3_500, `the last call of ours ended ${all.ms} ms after the peer`)
    assert.deepEqual(outcomes.other, [])
    assert.ok(outcomes.failed >= 53)
    const error = await endless
    assert.ok(isParleyError(error, 'COM002'), `${error}`)
    assert.equal(error.details.sent, true, 'it may have been done')
    await until('the handlers of its calls were told', () => ours.journal.aborted.length >= theirs.length)
    await until('nothing is in work here', () => mesh.figures().active === 0)
  })

  it('can be restarted one after the other under load without a failed call, though no call may run twice', async () => {
    const names = ['rolling 1', 'rolling 2', 'rolling 3'].map((name) => name.replace(' ', '-'))
    const mesh = await createMesh({ ...common, name: 'client', mesh: 'rolling' })
    const seeds = { ...common, mesh: 'rolling', join: mesh.self.addresses }
    const begin = async (name: string): Promise<Peer> => {
      const peer = await startPeer({ ...seeds, name })
      await untilKnown(mesh, peer.id)
      return peer
    }
    const peers = await Promise.all(names.map(begin))
    const failures: string[] = []
    let calls = 0
    let over = false
    const lane = async (): Promise<void> => {
      while (!over) {
        const text = `${calls}`
        calls += 1
        const answer = await mesh
          .any(probe)
          .once({ text })
          .catch((error: unknown) => String(error))
        if (typeof answer === 'string') failures.push(answer)
        else assert.equal(answer.text, text)
      }
    }
    const lanes = Promise.all(Array.from({ length: 16 }, lane))
    for (const [at, peer] of peers.entries()) {
      const before = calls
      await until('calls flow', () => calls > before + 200)
      await untilItEnds(peer, peer.ask('stop', undefined))
      await begin(names[at] ?? '')
    }
    over = true
    await lanes
    await mesh.stop()
    assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${calls} calls failed`)
  })

  it('leaves nobody behind who still lists it, though they were busy while it said goodbye', async () => {
    const seed = await startMesh({ ...common, name: 'busy-seed', mesh: 'goodbyes' })
    const options = { ...common, mesh: 'goodbyes', join: seed.mesh.self.addresses }
    const leavers = await Promise.all(['one', 'two', 'three', 'four'].map((name) => startPeer({ ...options, name })))
    await untilKnown(seed.mesh, ...leavers.map(({ id }) => id))
    const gone: string[] = []
    seed.mesh.directory.onChange((change) => {
      if (change.type === 'left') gone.push(change.reason)
    })
    const stops = leavers.map((peer) => untilItEnds(peer, peer.ask('stop', undefined)))
    await new Promise((resolve) => setTimeout(resolve, 5))
    const until = performance.now() + 300
    while (performance.now() < until);
    await Promise.all(stops)
    assert.deepEqual(gone, ['left', 'left', 'left', 'left'])
    assert.equal(seed.mesh.directory.agents().length, 1)
    await seed.mesh.stop()
  })

  it('is not ready while something holds it, and says what', async () => {
    const own = await startMesh({ name: 'warming-up', debug: 0 })
    const ready = async () => {
      const response = await fetch(`${own.mesh.debugUrl}/readyz`)
      return [response.status, await response.json()]
    }
    assert.deepEqual(await ready(), [200, { ready: true, reasons: [] }])
    const [first, second] = [own.mesh.notReady('the model is loading'), own.mesh.notReady('the model is loading')]
    assert.deepEqual(await ready(), [503, { ready: false, reasons: ['the model is loading', 'the model is loading'] }])
    await first.stop()
    await first.stop()
    assert.equal((await ready())[0], 503)
    await second.stop()
    assert.equal((await ready())[0], 200)
    await own.mesh.stop()
  })

  it('answers with a code whatever is asked of it after its stop, which may be called twice', async () => {
    const own = await startMesh({ ...common, name: 'short-lived', join: ours.mesh.self.addresses })
    await own.mesh.joined()
    const { mesh } = own
    await Promise.all([mesh.stop(), mesh.stop()])
    await mesh.stop()
    const errors = await Promise.all([
      failureOf(mesh.to(ours.mesh.self.id, probe).echo({ text: 'late' })),
      failureOf(mesh.events.publish('late.event', {})),
      failureOf(mesh.events.subscribe('late.#', () => {})),
      failureOf(mesh.to(ours.mesh.self.id, probe).count({ to: 1 }).next()),
    ])
    for (const error of errors) assert.ok(isParleyError(error, 'COM002'), `${error}`)
  })

  it('stops while it still tries to join somebody who is not there', async () => {
    const peer = await startPeer({ ...common, name: 'lonely', join: [`/ip4/127.0.0.1/tcp/${await freePort()}`] })
    const joining = failureOf(peer.ask('joined', {}))
    const { ms, value } = await untilItEnds(peer, peer.ask('stop', undefined))
    assert.equal(value, 0, peer.complaints())
    assert.ok(ms < SLACK_MS, `${ms} ms`)
    const error = await joining
    assert.ok(error instanceof RemoteFailure && error.code === 'COM002', `${error}`)
  })

  it('comes back with the same data directory as the same peer, and others call it again', async () => {
    const options = { ...common, name: 'phoenix', dataDir: join(directory, 'phoenix'), join: ours.mesh.self.addresses }
    const first = await startPeer(options)
    await untilKnown(ours.mesh, first.id)
    const before = ours.mesh.directory.get(first.id)?.record
    assert.deepEqual(await ours.mesh.to(first.id, probe).echo({ text: 'one' }), { text: 'one' })

    const second = forkProcess()
    const locked = await failureOf(second.ask('start', options))
    assert.ok(locked instanceof RemoteFailure)
    assert.equal(locked.code, 'STA003')
    assert.match(locked.message, new RegExp(`${first.pid}`), 'it says which process has it')

    // Killed, it cannot give its lock back: the next one has to see that nobody holds it.
    await first.kill()
    const facts = await second.ask('start', options)
    await second.ask('serve', undefined)
    assert.equal(facts.id, first.id)
    assert.deepEqual(facts.addresses, first.addresses, 'at the same port')
    await until('it is known anew', () => {
      const record = ours.mesh.directory.get(first.id)?.record
      return record !== undefined && before !== undefined && record.incarnation > before.incarnation
    })
    await until('its new life offers the protocol', () =>
      ours.mesh.directory.offers('probe', 1).some(({ peer }) => peer === first.id),
    )
    assert.deepEqual(await ours.mesh.to(first.id, probe).echo({ text: 'two' }), { text: 'two' })
    await second.kill()
  })
})

describe('nodes that found a mesh together', { timeout: 60_000 }, () => {
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  /** One of three that founded the mesh a moment ago, and the others. */
  const founded = async (t: TestContext, mesh: string): Promise<{ own: OwnMesh; others: Peer[] }> => {
    const folder = await testFolder(t)
    const common = { mesh, timings: BRISK, coordination: { expect: 3 } }
    const own = await startMesh({ ...common, name: 'own', dataDir: join(folder, 'own') })
    const { addresses } = own.mesh.self
    const others = await Promise.all(
      ['a', 'b'].map((name) => startPeer({ ...common, name, dataDir: join(folder, name), join: addresses })),
    )
    await until('the mesh is founded', () => own.mesh.coordinator.status().meshId !== undefined, 20_000)
    return { own, others }
  }
  const failures = ({ log }: OwnMesh): unknown[] => log.lines.filter(({ level }) => level === 'error')

  it('log no failure when all of them stop in that moment', async (t) => {
    const { own, others } = await founded(t, 'brief')
    await Promise.all([own.mesh.stop(), ...others.map((peer) => peer.ask('stop', undefined))])
    assert.deepEqual(failures(own), [])
    for (const peer of others) assert.equal(peer.complaints(), '')
  })

  it('log no failure when one stops that calls the others again and again, since they are gone', async (t) => {
    const { own, others } = await founded(t, 'bereft')
    await until('it votes', () => own.mesh.coordinator.status().role === 'voter', 20_000)
    await Promise.all(others.map((peer) => peer.kill()))
    const before = own.mesh.figures().retries
    await until('it calls them again', () => own.mesh.figures().retries > before)
    await own.mesh.stop()
    assert.deepEqual(failures(own), [])
  })
})

describe('a seed', { timeout: 60_000 }, () => {
  const common = { mesh: 'seeded', secret: makeSecret(), timings: BRISK }
  let directory: string
  let port: number
  let peers: OwnMesh[]

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'parley-seed-'))
    port = await freePort()
    // The seed is not there yet.
    const address = [`/ip4/127.0.0.1/tcp/${port}`]
    peers = await Promise.all(['one', 'two'].map((name) => startMesh({ ...common, name, join: address })))
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
    await rm(directory, { recursive: true, force: true })
  })
  const seedOptions = (dataDir: string) => ({
    ...common,
    name: 'seed',
    dataDir: join(directory, dataDir),
    listen: [`/ip4/127.0.0.1/tcp/${port}`],
  })
  const untilAll = (what: string, seed: Peer) =>
    until(what, () =>
      peers.every(({ mesh }) => {
        const ids = mesh.members().map(({ id }) => id)
        return ids.length === 2 && ids.includes(seed.id)
      }),
    )

  it('that starts after the others brings them together', async () => {
    const joining = Promise.all(peers.map(({ mesh }) => mesh.joined({ signal: AbortSignal.timeout(10_000) })))
    const seed = await startPeer(seedOptions('first'))
    await joining
    await untilAll('all are connected', seed)
    await seed.kill()
    await until('the others are left', () => peers.every(({ mesh }) => mesh.members().length === 1))
  })

  it('that was killed and started again is found again, although libp2p dials nobody by itself', async () => {
    const seed = await startPeer(seedOptions('first'))
    await untilAll('all are connected again', seed)
    for (const { mesh } of peers) assert.deepEqual(await mesh.to(seed.id, probe).who({}), { id: seed.id })
    await seed.kill()
    await until('the others are left', () => peers.every(({ mesh }) => mesh.members().length === 1))
  })

  it('may have lost its data directory and be another peer at the same address', async () => {
    const seed = await startPeer(seedOptions('second'))
    await untilAll('all are connected to the new one', seed)
    for (const { mesh } of peers) assert.deepEqual(await mesh.to(seed.id, probe).who({}), { id: seed.id })
  })

  it('may have its own address among those to join, as all nodes of a deployment are given the same list', async () => {
    const own = await freePort()
    const list = [`/ip4/127.0.0.1/tcp/${own}`, `/ip4/127.0.0.1/tcp/${port}`]
    const peer = await startPeer({ ...common, name: 'listed', listen: [list[0] ?? ''], join: list })
    await peer.ask('joined', {})
    await until('it is connected to all the others', async () => {
      const { members, figures } = await peer.ask('facts', undefined)
      return members.length === 3 && figures.connections === 3 && !members.some(({ id }) => id === peer.id)
    })
  })
})
