/** Who gets into a mesh and who does not: secrets, mesh names, strangers, capabilities. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { createProbe, probe } from '../support/probe.ts'
import { endProcesses, forkProcess, type PeerProcess, RemoteFailure } from '../support/processes.ts'
import { type RawPeer, requestBytes, startRawPeer, watch } from '../support/raw-peer.ts'
import { failureOf, until } from '../support/until.ts'

const MESH = 'red'
const secret = makeSecret()

describe('a mesh with a secret', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let open: OwnMesh
  let guests: PeerProcess
  const raws: RawPeer[] = []

  before(async () => {
    const timings = { admissionTimeoutMs: 1_500 }
    ;[ours, open] = await Promise.all([
      startMesh({ name: 'ours', mesh: MESH, secret, timings }),
      startMesh({ name: 'open', mesh: MESH, timings }),
    ])
    guests = forkProcess()
  })
  after(async () => {
    endProcesses()
    await Promise.all(raws.map((raw) => raw.stop()))
    await stopMeshes()
  })

  const rawPeer = async (): Promise<RawPeer> => {
    const raw = await startRawPeer()
    raws.push(raw)
    return raw
  }
  const address = (node: OwnMesh): string => node.mesh.self.addresses[0] ?? ''

  /** A guest whose only join address refuses it; what its joined() says, and what the host counted. */
  const refusal = async (host: OwnMesh, as: string, options: { mesh?: string; secret?: string }) => {
    const before = host.mesh.figures().admissions
    const facts = await guests.ask('start', { name: as, mesh: MESH, join: [address(host)], ...options }, { as })
    const error = await failureOf(guests.ask('joined', {}, { as }))
    assert.ok(error instanceof RemoteFailure)
    const reasons = await until('it was counted', () =>
      Object.entries(host.mesh.figures().admissions).find(([reason, n]) => n > (before[reason] ?? 0)),
    )
    await until('it was disconnected', () => host.mesh.figures().connections === host.mesh.members().length)
    assert.ok(!host.mesh.members().some(({ id }) => id === facts.id))
    assert.equal(host.mesh.directory.get(facts.id), undefined)
    assert.ok(host.log.lines.some(({ level, fields }) => level === 'warn' && fields?.id === facts.id))
    const { members, agents } = await guests.ask('facts', undefined, { as })
    assert.deepEqual([members, agents.map(({ name }) => name)], [[], [as]])
    const call = await failureOf(
      guests.ask('call', { to: host.mesh.self.id, method: 'echo', input: { text: 'x' } }, { as }),
    )
    assert.ok(call instanceof RemoteFailure && (call.code === 'SEC001' || call.code === 'COM002'), `${call}`)
    await guests.ask('stop', undefined, { as })
    return { code: error.code, hint: error.hint, counted: reasons[0] }
  }

  it('refuses a wrong secret: SEC001 at the joiner, a counter here, and the connection goes', async () => {
    assert.deepEqual(await refusal(ours, 'wrong', { secret: makeSecret() }), {
      code: 'SEC001',
      hint: 'start both nodes with the same secret and the same mesh name',
      counted: 'wrong-authority',
    })
  })

  it('refuses a node without a secret', async () => {
    const { code, counted } = await refusal(ours, 'bare', {})
    assert.deepEqual([code, counted], ['SEC001', 'no-token'])
  })

  it('is refused by a mesh without a secret', async () => {
    const { code, counted } = await refusal(open, 'sealed', { secret })
    assert.deepEqual([code, counted], ['SEC001', 'unexpected-token'])
  })

  it('refuses the same secret under another mesh name', async () => {
    const { code, counted } = await refusal(ours, 'namesake', { secret, mesh: 'blue' })
    assert.deepEqual([code, counted], ['SEC001', 'wrong-mesh'])
  })

  it('lets in who has the secret, and who has it as the second of two', async () => {
    for (const [as, given] of [
      ['right', secret],
      ['changing', [makeSecret(), secret] as [string, string]],
    ] as const) {
      await guests.ask('start', { name: as, mesh: MESH, secret: given, join: [address(ours)] }, { as })
      await guests.ask('serve', undefined, { as })
      await guests.ask('joined', {}, { as })
      await until(`${as} is here`, () => ours.mesh.members().some(({ name }) => name === as))
    }
    assert.deepEqual(
      ours.mesh
        .members()
        .map(({ name }) => name)
        .sort(),
      ['changing', 'right'],
    )
  })

  it('does not mix with another mesh on the same host, not by calls, agents or events', async () => {
    const blue = { mesh: 'blue', secret: makeSecret() }
    const seed = await startMesh({ name: 'blue-1', ...blue })
    // It has an address of each mesh: one lets it in, the other does not.
    const options = { name: 'blue-2', ...blue, join: [address(seed), address(ours)] }
    const { id } = await guests.ask('start', options, { as: 'blue-2' })
    await guests.ask('serve', undefined, { as: 'blue-2' })
    await guests.ask('joined', {}, { as: 'blue-2' })
    await untilKnown(seed.mesh, id)
    const inBlue = await guests.ask('subscribe', { pattern: '#' }, { as: 'blue-2' })
    const inRed = await guests.ask('subscribe', { pattern: '#' }, { as: 'right' })
    await Promise.all([
      ours.mesh.events.publish('news.colour', { mesh: 'red' }),
      seed.mesh.events.publish('news.colour', { mesh: 'blue' }),
    ])
    const heard = async (as: string, subscription: number) =>
      (await guests.ask('heard', { subscription }, { as })).events
    const [blueEvent] = await until('blue heard', async () => {
      const events = await heard('blue-2', inBlue.subscription)
      return events.length > 0 && events
    })
    const [redEvent] = await until('red heard', async () => {
      const events = await heard('right', inRed.subscription)
      return events.length > 0 && events
    })
    assert.deepEqual([blueEvent?.data, redEvent?.data], [{ mesh: 'blue' }, { mesh: 'red' }])
    assert.equal((await heard('blue-2', inBlue.subscription)).length, 1)
    assert.equal((await heard('right', inRed.subscription)).length, 1)
    const { agents } = await guests.ask('facts', undefined, { as: 'blue-2' })
    assert.deepEqual(agents.map(({ name }) => name).sort(), ['blue-1', 'blue-2'])
    assert.equal(ours.mesh.directory.find('blue-1'), undefined)
    assert.ok((ours.mesh.figures().admissions['wrong-mesh'] ?? 0) >= 1)
  })

  it('stays on this machine without a secret', async () => {
    for (const options of [
      { listen: ['/ip4/0.0.0.0/tcp/0'] },
      { listen: ['/ip6/::/tcp/0'] },
      { join: ['/ip4/192.0.2.1/tcp/8081'] },
      { listen: ['/ip4/0.0.0.0/tcp/0'], secret: 'hunter2' },
    ]) {
      const error = await failureOf(guests.ask('start', options, { as: 'exposed' }))
      assert.ok(error instanceof RemoteFailure)
      assert.equal(error.code, 'SEC001')
    }
    assert.equal(
      (await guests.ask('start', { listen: ['/ip4/0.0.0.0/tcp/0'], secret }, { as: 'far' })).addresses.length > 0,
      true,
    )
    await guests.ask('stop', undefined, { as: 'far' })
  })

  it('gives a stranger no protocol stream and no topic, and disconnects it', async () => {
    const raw = await rawPeer()
    const topic = `parley/${MESH}/events/secrets`
    let overheard = 0
    raw.libp2p.services.gossip.addEventListener('message', () => {
      overheard += 1
    })
    raw.libp2p.services.gossip.subscribe(topic)
    await ours.mesh.events.subscribe('secrets.#', () => {})
    const refusedBefore = ours.mesh.figures().refusedStreams
    const connection = await raw.dial(address(ours))
    const ids = (await raw.protocolsOf(connection)).filter(
      (id) => id.startsWith('/parley/') && !id.includes('admission'),
    )
    assert.deepEqual(ids.sort(), [
      '/parley/budget/1',
      '/parley/coalition/1',
      '/parley/coordination/1',
      '/parley/coordinator/1',
      '/parley/delivery/1',
      '/parley/directory/1',
      '/parley/events/1',
      '/parley/journal/1',
      '/parley/neighbours/1',
      '/parley/overlay/1',
      '/parley/performance-monitor/1',
      '/parley/presence/1',
      '/parley/probe/1',
      '/parley/proof/1',
      '/parley/reach/1',
      '/parley/reply/1',
      '/parley/resource-manager/1',
      '/parley/resource/1',
      '/parley/task-bytes/1',
      '/parley/task/1',
      '/parley/waits/1',
    ])
    // More of one connection are not held.
    const asked = ids.slice(0, 15)
    const streams = await Promise.all(asked.map((id) => connection.newStream(id)))
    const answers = streams.map(watch)
    for (const stream of streams) stream.send(requestBytes('echo', { text: 'let me in' }))
    await until('they are held', () => ours.mesh.figures().heldStreams > asked.length)
    // Gossip of a stranger goes nowhere, and gossip of the mesh not to it.
    await raw.libp2p.services.gossip.publish(topic, new Uint8Array(16)).catch(() => undefined)
    await ours.mesh.events.publish('secrets.word', { word: 'swordfish' })
    await until('the stranger is disconnected', () => connection.status !== 'open')
    assert.deepEqual(
      answers.map((answer) => answer.bytes()),
      asked.map(() => 0),
    )
    assert.ok(answers.every((answer) => answer.gone()))
    assert.equal(overheard, 0)
    assert.deepEqual(raw.libp2p.services.gossip.getSubscribers(topic), [])
    const figures = ours.mesh.figures()
    assert.ok(figures.refusedStreams - refusedBefore >= asked.length)
    assert.equal(figures.heldStreams, 0)
    assert.equal(figures.admissions.timeout, 1)
    assert.equal(figures.gossip.rejected, 0, 'its gossip was not even looked at')
  })

  it('refuses no stream of members that use more protocols at once than streams are held', async () => {
    const one = await startMesh({ name: 'one', mesh: 'busy', secret })
    const other = await startMesh({ name: 'other', mesh: 'busy', secret, join: [address(one)] })
    const many = Array.from({ length: 24 }, (_, i) => ({ ...probe, name: `probe-${i}` }) as typeof probe)
    for (const node of [one, other])
      for (const [i, protocol] of many.entries()) await node.mesh.serve(protocol, createProbe(() => `${i}`).handlers)
    // Neither has let the other one in yet.
    const calls = [one, other].flatMap((node, i) =>
      many.map((protocol) => node.mesh.to([other, one][i]?.mesh.self.id ?? '', protocol).who({})),
    )
    assert.equal((await Promise.all(calls)).length, 48)
    for (const { mesh } of [one, other]) assert.equal(mesh.figures().refusedStreams, 0)
  })

  it('does not take a token that was made for another peer', async () => {
    const [raw, thief] = await Promise.all([rawPeer(), rawPeer()])
    const token = await raw.token(MESH, secret)
    const connection = await thief.dial(address(ours))
    const before = ours.mesh.figures().admissions['other-peer'] ?? 0
    const stream = await connection.newStream('/parley/admission/1')
    const seen = watch(stream)
    stream.send(requestBytes('admit', { tokens: [token], mesh: MESH, name: 'thief', incarnation: 1, nowMs: 1 }))
    await until('the thief is told why', () => seen.text().includes('other-peer'))
    await until('and disconnected', () => connection.status !== 'open')
    assert.equal(ours.mesh.figures().admissions['other-peer'], before + 1)
    // Whoever was refused is not let in again for a while, even with a token of its own.
    const good = await thief.token(MESH, secret)
    await failureOf(thief.dial(address(ours)).then((again) => thief.admit(again, MESH, [good])))
    assert.ok(!ours.mesh.members().some(({ id }) => id === thief.id))
  })

  it('denies what the caller has no capability for, before the handler', async () => {
    const raw = await rawPeer()
    const token = await raw.token(MESH, secret, { caps: ['land.*'] })
    const connection = await raw.dial(address(ours))
    await raw.admit(connection, MESH, [token])
    const ask = async (method: string, input: object): Promise<string> => {
      const stream = await connection.newStream('/parley/probe/1')
      const seen = watch(stream)
      stream.send(requestBytes(method, input))
      return until('an answer', () => /SEC002|hello|launched/.exec(seen.text())?.[0])
    }
    assert.equal(await ask('echo', { text: 'hello' }), 'hello')
    assert.equal(await ask('launch', {}), 'SEC002')
    assert.equal(ours.journal.launched, 0)
    assert.equal(ours.mesh.figures().denied.SEC002, 1)
    const right = ours.mesh.members().find(({ name }) => name === 'right')
    assert.deepEqual(await ours.mesh.to(right?.id ?? '', probe).launch({}), { text: 'launched' })
    await connection.close()
  })
})
