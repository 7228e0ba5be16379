/** A part as others write them, on nodes that are processes of their own. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, isParleyError, type Mesh, makeSecret } from '../../node/index.ts'
import { counter, counterProtocol } from '../support/counter-part.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

interface PartFacts {
  readonly name: string
  readonly state: string
  readonly offer?: string
  readonly figures: readonly { readonly name: string; readonly value: number }[]
}

const read = async (peer: Peer, path: string): Promise<unknown> => (await fetch(`${peer.debugUrl}${path}`)).json()
const counterOf = async (peer: Peer): Promise<PartFacts> => {
  const { parts } = (await read(peer, '/api/parts')) as { parts: PartFacts[] }
  const found = parts.find(({ name }) => name === 'acme/counter')
  assert.ok(found)
  return found
}

describe('a part of others, between processes', { timeout: 120_000 }, () => {
  const secret = makeSecret()
  let folder = ''
  let guest: Mesh
  const peers: Peer[] = []

  const start = (name: string): Promise<Peer> =>
    startPeer(
      {
        ...{ name, secret, counts: true, dataDir: join(folder, name), debug: {} },
        ...{ coordination: { expect: 3 }, join: peers.flatMap(({ addresses }) => addresses) },
      },
      { serve: false },
    )

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-parts-'))
    for (const name of ['one', 'two', 'three']) peers.push(await start(name))
    guest = await createMesh({ name: 'guest', secret, join: peers.flatMap(({ addresses }) => addresses) })
    await guest.joined({ timeoutMs: 20_000 })
  })
  after(async () => {
    await guest.stop()
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  /** Until every voter is known to have the part. */
  const addTo = (peer: Peer, by: number): Promise<number> =>
    until(
      'the part decides',
      async () => {
        try {
          return (await guest.to(peer.id, counterProtocol).add({ by })).total
        } catch (error) {
          if (isParleyError(error, 'STA003') || isParleyError(error, 'COM001') || isParleyError(error, 'COM002'))
            return undefined
          throw error
        }
      },
      40_000,
    )

  it('sleeps until it is called; then it decides with the others, and shows it', async () => {
    const [one, two] = peers
    assert.ok(one && two)
    assert.deepEqual(
      (await Promise.all(peers.map(counterOf))).map(({ state, offer }) => [state, offer]),
      peers.map(() => ['idle', 'acme/counter@1']),
    )
    assert.equal(await addTo(one, 2), 2)
    assert.deepEqual(
      (await Promise.all(peers.map(counterOf))).map(({ state }) => state),
      ['running', 'idle', 'idle'],
    )
    assert.deepEqual(
      (await counterOf(one)).figures.map(({ name, value }) => [name, value]),
      [['added_total', 2]],
    )
    assert.deepEqual(await read(one, '/api/parts/view?part=acme/counter&view=total'), {
      ...{ form: 'table', title: 'Total', left: 0 },
      ...{ columns: ['total'], rows: [[2]] },
    })
    const idle = (await read(two, '/api/parts/view?part=acme/counter&view=total')) as { status: number }
    assert.equal(idle.status, 404)
    assert.match(await (await fetch(`${one.debugUrl}/metrics`)).text(), /^acme_counter_added_total 2$/m)
    const offered = guest.directory.offers('acme-counter', 1).map(({ name }) => name)
    assert.deepEqual(offered.sort(), ['one', 'three', 'two'])
  })

  it('goes on when a process is killed, and the process that comes back has what was decided', async () => {
    const [one, two, three] = peers
    assert.ok(one && two && three)
    await three.kill()
    assert.equal(await addTo(two, 3), 5)
    peers[2] = await start('three')
    const back = await until(
      'it answers again',
      () =>
        guest
          .to(peers[2]?.id ?? '', counterProtocol)
          .total({})
          .catch(() => undefined),
      20_000,
    )
    assert.deepEqual(back, { total: 5 })
  })

  it('is for those who have it: another node is told so', async () => {
    await assert.rejects(
      guest.part(counter),
      (error) => isParleyError(error, 'MSG001') && /acme\/counter/.test(error.message),
    )
  })
})
