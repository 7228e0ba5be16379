/** A member that knows docs/protocol.md and the .proto files only, and a node of this package. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { z } from 'zod'
import { createMesh, defineProtocol, type Mesh, makeSecret } from '../../node/index.ts'
import { type ForeignMember, startForeignMember } from '../support/foreign-member.ts'
import { BRISK } from '../support/meshes.ts'
import { until } from '../support/until.ts'

const MESH = 'foreign'
const shout = defineProtocol({
  name: 'shout',
  version: '1.0.0',
  methods: { loud: { request: z.string(), response: z.string() } },
})
const greet = defineProtocol({
  name: 'greet',
  version: '1.0.0',
  methods: { hello: { request: z.object({ name: z.string() }), response: z.string() } },
})

describe('a member made from docs/protocol.md', { timeout: 60_000 }, () => {
  let mesh: Mesh
  let foreign: ForeignMember
  let connection: Connection

  before(async () => {
    const secret = makeSecret()
    mesh = await createMesh({ name: 'ours', mesh: MESH, secret, timings: BRISK, log: 'silent' })
    await mesh.serve(greet, { hello: ({ name }, { peer }) => `hello ${name}, ${peer.slice(-4)}` })
    foreign = await startForeignMember(MESH, secret, {
      name: 'shout',
      method: 'loud',
      answer: (text) => String(text).toUpperCase(),
    })
    connection = await foreign.join(mesh.self.addresses[0] ?? '')
  })
  after(async () => {
    await foreign.stop()
    await mesh.stop()
  })

  it('is admitted', async () => {
    await until('it is a member', () => mesh.members().some(({ id }) => id === foreign.id))
  })

  it('calls a node, and is told by a typed error what it did wrong', async () => {
    const answer = await foreign.call(connection, '/parley/greet/1', 'hello', { name: 'you' })
    assert.equal(answer, `hello you, ${foreign.id.slice(-4)}`)
    await assert.rejects(foreign.call(connection, '/parley/greet/1', 'hello', { nam: 'you' }), /MSG001/)
  })

  it('is listed with what it offers, and is called', async () => {
    await foreign.announce(connection)
    const agent = await until('it is listed', () => mesh.directory.find('foreign'))
    assert.deepEqual(
      agent.record.protocols.map(({ name }) => name),
      ['shout'],
    )
    assert.equal(await mesh.any(shout).loud('quiet'), 'QUIET')
  })

  it('hears the events of a node, checks their signature, and is heard', async () => {
    const heard: unknown[] = []
    foreign.hears('news.today', (data) => heard.push(data))
    const ours: unknown[] = []
    await mesh.events.subscribe('news.#', ({ data, source }) => void ours.push([data, source]))
    await until(
      'the node heard',
      async () => {
        await foreign.publish('news.today', { from: 'abroad' })
        return ours.length > 0
      },
      10_000,
      200,
    )
    assert.deepEqual(ours[0], [{ from: 'abroad' }, foreign.id])
    await until(
      'it heard',
      async () => {
        await mesh.events.publish('news.today', { from: 'here' })
        return heard.length > 0
      },
      10_000,
      200,
    )
    assert.deepEqual(heard[0], { from: 'here' })
  })

  it('stays connected, since it answers probes', async () => {
    await until('it was probed', () => foreign.probed() > 15, 20_000)
    assert.ok(mesh.members().some(({ id }) => id === foreign.id))
  })
})
