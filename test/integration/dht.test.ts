/**
 * A mesh of more members than one directory holds: a line of nodes, each of which knows one other. Kademlia finds the
 * address of a member that the caller has never heard of.
 */
import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { dhtProtocolOf } from '../../node/network/dht.ts'
import type { DiscoverySettings } from '../../node/options/discovery-options.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { BRISK, type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { probe } from '../support/probe.ts'
import { type RawPeer, startRawPeer, watch } from '../support/raw-peer.ts'
import { failureOf, until } from '../support/until.ts'

const common = { mesh: 'line', secret: makeSecret(), timings: BRISK, limits: { maxAgents: 1 } }
type Mode = DiscoverySettings['dht']

/** Each joins the one before it and knows nobody else. */
const startLine = async (modes: readonly Mode[]): Promise<OwnMesh[]> => {
  const line: OwnMesh[] = []
  for (const [at, dht] of modes.entries()) {
    const join = line.at(-1)?.mesh.self.addresses ?? []
    const node = await startMesh({ ...common, name: `node-${at}`, join, discovery: { dht } })
    if (at > 0) await node.mesh.joined({ signal: AbortSignal.timeout(10_000) })
    line.push(node)
  }
  return line
}
const ends = (line: OwnMesh[]): [OwnMesh, OwnMesh] => {
  const [first, last] = [line[0], line.at(-1)]
  if (first === undefined || last === undefined) assert.fail('a line')
  return [first, last]
}
const echo = (from: OwnMesh, to: OwnMesh) => from.mesh.to(to.mesh.self.id, probe).echo({ text: 'hi' })

describe('a line of nodes with directories of one entry', { timeout: 60_000 }, () => {
  const raws: RawPeer[] = []
  afterEach(async () => {
    await stopMeshes()
    for (const raw of raws.splice(0)) await raw.stop()
  })

  it('without the DHT the ends do not find each other', async () => {
    const [first, last] = ends(await startLine(['off', 'off', 'off', 'off']))
    assert.equal(first.mesh.directory.get(last.mesh.self.id), undefined)
    assert.ok(isParleyError(await failureOf(echo(first, last)), 'COM002'))
  })

  for (const [who, mode] of [
    ['one that serves it', 'server'],
    ['one that only asks', 'client'],
  ] as const) {
    it(`${who} finds the other end, whom its directory does not hold`, async () => {
      const [first, last] = ends(await startLine([mode, 'server', 'server', 'server']))
      const answer = await until('it is found', () => echo(first, last).catch(() => undefined), 10_000, 100)
      assert.deepEqual(answer, { text: 'hi' })
      assert.equal(first.mesh.directory.get(last.mesh.self.id), undefined, 'the directory is as full as before')
    })
  }

  it('answers a member and no stranger', async () => {
    const timings = { ...BRISK, admissionTimeoutMs: 1_000 }
    const node = await startMesh({ ...common, timings, name: 'node', discovery: { dht: 'server' } })
    const [address = ''] = node.mesh.self.addresses
    const ask = async (raw: RawPeer, connection: Awaited<ReturnType<RawPeer['dial']>>) => {
      assert.ok((await raw.protocolsOf(connection)).includes(dhtProtocolOf(common.mesh)))
      const stream = await connection.newStream(dhtProtocolOf(common.mesh))
      const seen = watch(stream)
      // FIND_NODE (type 4) for a key of one byte, behind its length.
      stream.send(Uint8Array.of(5, 0x08, 4, 0x12, 1, 7))
      return seen
    }
    const [member, stranger] = [await startRawPeer(), await startRawPeer()]
    raws.push(member, stranger)
    const refused = await ask(stranger, await stranger.dial(address))
    const connection = await member.dial(address)
    await member.admit(connection, common.mesh, [await member.token(common.mesh, common.secret)])
    const answered = await ask(member, connection)
    await until('the member is answered', () => answered.bytes() > 0)
    await until('the stranger is broken off', refused.gone)
    assert.equal(refused.bytes(), 0)
  })
})
