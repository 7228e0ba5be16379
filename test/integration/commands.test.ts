/** Commands, notifications of the coordinator, multicast and answers to third parties between processes. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ParleyError } from '../../protocols/errors.ts'
import { testFolder } from '../support/folder.ts'
import { type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { freePorts } from '../support/ports.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { addCommand } from '../support/shop.ts'
import { failureOf, timed, until } from '../support/until.ts'

const failed = async (call: Promise<unknown>): Promise<ParleyError> => (await failureOf(call)) as ParleyError

describe('three processes', { timeout: 100_000 }, () => {
  let ours: OwnMesh
  let one: Peer
  let two: Peer
  const knowing = (): Promise<unknown> =>
    until('both command lists are known', () => ours.mesh.directory.offers('command-hang', 1).length === 2)

  before(async () => {
    ours = await startMesh({ name: 'ours' })
    const start = (name: string): Promise<Peer> => startPeer({ name, join: ours.mesh.self.addresses })
    ;[one, two] = await Promise.all([start('one'), start('two')])
    for (const peer of [one, two]) {
      await peer.ask('joined', {})
      await peer.ask('openShop', undefined)
    }
    await untilKnown(ours.mesh, one.id, two.id)
    await knowing()
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  it('acknowledge a command with its result, and send it as COMMAND, high, with the performative request', async () => {
    const ack = await ours.mesh.commands.send(one.id, addCommand, { a: 20, b: 22 })
    assert.deepEqual([ack.status, ack.result, ack.peer, ack.attempts], ['ack', { sum: 42 }, one.id, 1])
    const { result } = await ours.mesh.commands.send(one.id, 'envelope', {}, { headers: { task_id: 't' } })
    assert.deepEqual(result, {
      type: 'COMMAND',
      priority: 'high',
      headers: { task_id: 't', 'message-type': 'COMMAND', performative: 'request' },
    })
  })

  it('refuse an unknown type, parameters that do not fit, and what the handler refuses, each with its code', async () => {
    const { commands } = ours.mesh
    assert.equal((await failed(commands.send(one.id, 'no.such', {}))).code, 'MSG006')
    assert.equal((await failed(commands.send(one.id, 'math.add', { a: 'x', b: 1 }))).code, 'MSG001')
    const nack = await failed(commands.send(one.id, 'refuse', {}, { commandId: 'c7' }))
    assert.deepEqual([nack.code, nack.message, nack.hint], ['STA003', 'not now', 'later'])
    assert.deepEqual(nack.details, { until: 'noon', command_id: 'c7', status: 'nack', reason: 'not now' })
    const broken = await failed(commands.send(one.id, 'break', {}))
    assert.deepEqual([broken.code, broken.message], ['APP001', 'the handler failed'])
  })

  it('run a command once, however often it is sent while it runs', async () => {
    const options = { ackTimeoutMs: 200, retry: { initialDelayMs: 50, maxDelayMs: 50, maxRetries: 10 } }
    const ack = await ours.mesh.commands.send(one.id, 'slow', {}, options)
    assert.equal(ack.result, 'done')
    assert.ok(ack.attempts >= 3, `${ack.attempts} attempts`)
    assert.equal((await one.ask('runs', undefined)).slow, 1)
  })

  it('give a command that hangs up after its time', async () => {
    const { value, ms } = await timed(() => failed(ours.mesh.commands.send(one.id, 'hang', {}, { timeoutMs: 600 })))
    assert.equal(value.code, 'COM001')
    assert.ok(ms >= 590 && ms < 3_000, `${ms} ms`)
    assert.equal((await one.ask('runs', undefined)).hang, 1)
  })

  it('send a command to whoever registered it, and the other way round', async () => {
    const { result, peer } = await ours.mesh.commands.send({ capability: 'math.add' }, addCommand, { a: 1, b: 2 })
    assert.deepEqual(result, { sum: 3 })
    assert.ok([one.id, two.id].includes(peer))
    assert.equal((await failed(ours.mesh.commands.send({ capability: 'nobody' }, 'nobody', {}))).code, 'COM004')
    const { stop } = await ours.mesh.commands.register('greet', (name) => `hello ${name}`)
    const answer = await one.ask('command', { to: ours.mesh.self.id, type: 'greet', parameters: 'you' })
    assert.equal((answer as { result: unknown }).result, 'hello you')
    await stop()
  })

  it('call a list, and have the answers sent to a third party or to a topic', async () => {
    const client = ours.mesh.to([one.id, two.id], probe)
    const named = new Map<string, unknown>()
    for await (const reply of client.who({})) named.set(reply.peer, 'value' in reply ? reply.value : reply.error)
    assert.deepEqual(named, new Map([one, two].map(({ id }) => [id, { id }])))

    const accepted = new Map<string, string>()
    for await (const reply of client.who({}, { replyTo: two.id, conversationId: 'k' }))
      if ('value' in reply) accepted.set(reply.value.id, reply.peer)
    assert.equal(accepted.size, 2)
    const replies = await until('both answers reached the third party', async () => {
      const all = await two.ask('replies', undefined)
      return all.length === 2 && all
    })
    for (const { from, requester, correlationId, conversationId, value } of replies)
      assert.deepEqual(
        [from, requester, conversationId, value],
        [accepted.get(correlationId), ours.mesh.self.id, 'k', { id: from }],
      )

    const { subscription } = await two.ask('subscribe', { pattern: 'answers.who' })
    for await (const reply of client.who({}, { replyTo: 'topic:answers.who' })) assert.ok('value' in reply)
    const heard = await until('both answers are events', async () => {
      const { events } = await two.ask('heard', { subscription })
      return events.length === 2 && events
    })
    assert.deepEqual(
      heard.map(({ data }) => (data as { value: { id: string } }).value.id).sort(),
      [one.id, two.id].sort(),
    )
  })

  it('send a command to a list; one that dies of it keeps no other from answering', async () => {
    const options = { timeoutMs: 3_000, retry: { maxRetries: 1, initialDelayMs: 50 } }
    const dead = await failed(ours.mesh.commands.send(two.id, 'die', {}, options))
    assert.equal(dead.code, 'COM002')
    const settled = await ours.mesh.commands.send([two.id, one.id], addCommand, { a: 1, b: 1 }, options).settled()
    assert.deepEqual(
      settled.map((outcome) => ('ack' in outcome ? outcome.ack.result : outcome.error.code)),
      ['COM002', { sum: 2 }],
    )
  })
})

describe('the coordinator of three processes', { timeout: 100_000 }, () => {
  after(endProcesses)

  it('notifies all of them; one that was replaced while it was frozen is not heard any more', async (t) => {
    const folder = await testFolder(t)
    const ports = await freePorts(3)
    const addresses = ports.map((port) => `/ip4/127.0.0.1/tcp/${port}`)
    const peers = await Promise.all(
      addresses.map((address, i) =>
        startPeer({
          name: `n${i}`,
          dataDir: join(folder, `n${i}`),
          listen: [address],
          join: addresses.filter((other) => other !== address),
          coordination: { expect: 3 },
        }),
      ),
    )
    for (const peer of peers) await peer.ask('hearNotifications', undefined)
    const acting = (among: Peer[]): Promise<Peer> =>
      until(
        'one of them coordinates, and the others know',
        async () => {
          const told = await Promise.all(among.map((peer) => peer.ask('notified', undefined)))
          const leader = among[told.findIndex((one) => one.acting)]
          return leader !== undefined && told.every((one) => one.leader === leader.id) ? leader : undefined
        },
        20_000,
      )
    const heardBy = async (peer: Peer): Promise<string[]> =>
      (await peer.ask('notified', undefined)).heard.map(({ name }) => name)

    const first = await acting(peers)
    await first.ask('notify', { name: 'one', data: { n: 1 } })
    for (const peer of peers) await until(`${peer.id} heard it`, async () => (await heardBy(peer)).includes('one'))
    const others = peers.filter((peer) => peer !== first)
    const [other] = others
    assert.ok(other)
    const refused = await failed(other.ask('notify', { name: 'mine' }))
    assert.equal(refused.code, 'STA003')

    first.freeze()
    const second = await acting(others)
    await second.ask('notify', { name: 'two' })
    for (const peer of others) await until('it is heard', async () => (await heardBy(peer)).includes('two'))
    // It still believes that it coordinates, or has just found out: either way nobody hears it.
    const late = first.ask('notify', { name: 'late' }).catch((error: unknown) => error)
    first.thaw()
    await late
    await second.ask('notify', { name: 'three' })
    for (const peer of others) await until('it is heard', async () => (await heardBy(peer)).includes('three'))
    for (const peer of others) assert.deepEqual(await heardBy(peer), ['one', 'two', 'three'])
  })
})
