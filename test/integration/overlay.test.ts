/** Meshes that are too large for everyone to be connected to everyone: real nodes in this process, over loopback TCP. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import * as z from 'zod'
import { createOverlay } from '../../discovery/overlay.ts'
import { defineProtocol } from '../../node/index.ts'
import { createRandom } from '../../node/testing/virtual/virtual-time.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { probe } from '../support/probe.ts'
import { until } from '../support/until.ts'

const hash = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())
/** Two dozen nodes in one process: looking at all of them costs as well. */
const LOOK_MS = 100
const timings = { syncPeriodMs: 500, backoffMinMs: 100, backoffMaxMs: 1_000 }

const idOf = ({ mesh }: OwnMesh): string => mesh.self.id
const membersOf = ({ mesh }: OwnMesh): Set<string> => new Set(mesh.members().map(({ id }) => id))

/** Who should be connected to each: whom it picks, and who picks it. */
const wantedOf = (nodes: readonly OwnMesh[], fullMesh: number): Map<OwnMesh, string[]> => {
  const ids = nodes.map(idOf)
  const picks = new Map(
    ids.map((self) => {
      const overlay = createOverlay({ self, hash }, fullMesh)
      for (const id of ids) overlay.add(id)
      return [self, overlay.picks()]
    }),
  )
  const isPicked = (from: string, to: string): boolean => picks.get(from)?.has(to) === true
  return new Map(nodes.map((node) => [node, ids.filter((id) => isPicked(idOf(node), id) || isPicked(id, idOf(node)))]))
}

const knowAll = (nodes: readonly OwnMesh[]): boolean =>
  nodes.every(({ mesh }) => mesh.directory.agents().length === nodes.length)

describe('two dozen nodes of which each picks three', { timeout: 90_000 }, () => {
  const NODES = 24
  const FULL_MESH = 6
  const PICKS = 3
  let nodes: OwnMesh[] = []
  let seed: OwnMesh
  const heard = new Map<OwnMesh, string[]>()
  /** Agents that a directory let go, of whom none has left. */
  const missed: string[] = []

  before(async () => {
    const common = { mesh: 'sparse', timings, limits: { maxPeersFullMesh: FULL_MESH } }
    seed = await startMesh({ ...common, name: 'node-0' })
    const join = seed.mesh.self.addresses
    const others = Array.from({ length: NODES - 1 }, (_, n) => startMesh({ ...common, name: `node-${n + 1}`, join }))
    nodes = [seed, ...(await Promise.all(others))]
    for (const node of nodes) {
      const own: string[] = []
      heard.set(node, own)
      node.mesh.directory.onChange((change) => {
        if (change.type === 'left') missed.push(`${change.agent.name} ${change.reason} for ${node.mesh.self.name}`)
      })
      await node.mesh.events.subscribe('news.*', ({ data }) => void own.push(String(data)))
    }
  })
  after(stopMeshes)

  const hearOnce = async (news: string): Promise<void> => {
    const deaf = (): string[] =>
      nodes.filter((node) => !heard.get(node)?.includes(news)).map(({ mesh }) => mesh.self.name)
    await until(`all hear ${news}`, () => deaf().length === 0, 15_000, LOOK_MS).catch((error: Error) => {
      throw new Error(`${error.message}; not heard by ${deaf()}`)
    })
    for (const node of nodes) {
      const times = heard.get(node)?.filter((text) => text === news).length
      assert.equal(times, 1, `${node.mesh.self.name} heard ${news} ${times} times`)
    }
  }

  it('all join through one of them, and all know all', async () => {
    await Promise.all(nodes.map(({ mesh }) => mesh.joined({ signal: AbortSignal.timeout(20_000) })))
    await until('all know all', () => knowAll(nodes), 20_000, LOOK_MS)
  })

  it('settle on the connections that one of the two picked, and close the others', async () => {
    const wanted = [...wantedOf(nodes, FULL_MESH)]
    const lacking = (): string[] =>
      wanted.flatMap(([node, others]) => {
        const members = membersOf(node)
        const { name } = node.mesh.self
        const { connections } = node.mesh.figures()
        return [
          ...others.filter((id) => !members.has(id)).map((id) => `${name} lacks ${id}`),
          ...(members.size > 4 * PICKS ? [`${name} has ${members.size} members`] : []),
          ...(connections === members.size ? [] : [`${name}: ${connections} connections, ${members.size} members`]),
        ]
      })
    await until('they settle', () => lacking().length === 0, 30_000, LOOK_MS).catch((error: Error) => {
      throw new Error(`${error.message}: ${lacking().join('; ')}`)
    })
    assert.deepEqual(missed, [], 'a connection that is given up is no reason to think that somebody is gone')
    const sum = nodes.reduce((total, node) => total + membersOf(node).size, 0)
    assert.ok(sum <= NODES * 2 * (PICKS + 2), `${sum / NODES} connections a node`)
  })

  it('hear an event once, whoever tells it', async () => {
    for (const teller of [seed, nodes[7], nodes[23]]) {
      assert.ok(teller !== undefined)
      const news = `from ${teller.mesh.self.name}`
      await teller.mesh.events.publish('news.today', news)
      await hearOnce(news)
    }
  })

  it('reach those they are not connected to, also the one that they joined at', async () => {
    const callSome = async (node: OwnMesh): Promise<void> => {
      const members = membersOf(node)
      const strangers = nodes.filter((other) => other !== node && !members.has(idOf(other)))
      for (const stranger of new Set([seed, ...strangers.slice(0, 2)])) {
        const text = `${node.mesh.self.name} to ${stranger.mesh.self.name}`
        assert.deepEqual(await node.mesh.to(idOf(stranger), probe).once({ text }), { text })
      }
    }
    await Promise.all(nodes.slice(1).map(callSome))
  })

  it('still hear everything once six of them have left, one of which is the one that all joined at', async () => {
    const random = createRandom(20)
    const leaving = [
      seed,
      ...nodes
        .slice(1)
        .sort(() => random() - 0.5)
        .slice(0, 5),
    ]
    nodes = nodes.filter((node) => !leaving.includes(node))
    await Promise.all(leaving.map(({ mesh }) => mesh.stop()))
    const [teller] = nodes
    assert.ok(teller !== undefined)
    await teller.mesh.events.publish('news.late', 'six have left')
    await hearOnce('six have left')
    for (const own of heard.values()) assert.equal(new Set(own).size, own.length, 'nothing came a second time later on')
    await until('all know who is left', () => knowAll(nodes), 15_000, LOOK_MS)
    assert.ok(nodes.every((node) => membersOf(node).size > 0))
  })
})

/** Not idempotent: what is written twice shows. */
const ledger = defineProtocol({
  name: 'ledger',
  version: '1.0.0',
  methods: { write: { request: z.object({ line: z.string() }), response: z.object({ lines: z.number() }) } },
})

describe('calls while connections are given up', { timeout: 60_000 }, () => {
  const NODES = 12
  const CALLERS = 4
  /** A connection is given up when it is three seconds old. */
  const CALLING_MS = 5_000
  const written: string[] = []
  let nodes: OwnMesh[] = []

  before(async () => {
    const common = { mesh: 'changing', timings, limits: { maxPeersFullMesh: 4 } }
    const first = await startMesh({ ...common, name: 'node-0' })
    const join = first.mesh.self.addresses
    const others = Array.from({ length: NODES - 1 }, (_, n) => startMesh({ ...common, name: `node-${n + 1}`, join }))
    nodes = [first, ...(await Promise.all(others))]
    for (const { mesh } of nodes) await mesh.serve(ledger, { write: ({ line }) => ({ lines: written.push(line) }) })
    await until('all know all', () => knowAll(nodes), 20_000, LOOK_MS)
  })
  after(stopMeshes)

  const nameOf = (peer: string): string | undefined => nodes.find((node) => idOf(node) === peer)?.mesh.self.name

  it('reach everyone once, at random and right after a connection went, and none fails', async () => {
    const random = createRandom(7)
    const failures: string[] = []
    const lines: string[] = []
    let givenUp = 0
    const call = async (from: OwnMesh, to: string, why: string): Promise<void> => {
      const line = `${lines.length}: ${from.mesh.self.name} to ${nameOf(to)} ${why}`
      lines.push(line)
      await from.mesh
        .to(to, ledger)
        .write({ line })
        .catch((error: unknown) => failures.push(`${line}: ${error}`))
    }
    const pending: Promise<void>[] = []
    const stops = nodes.map((node) =>
      node.mesh.onMember(({ id }, change) => {
        if (change === 'joined') return
        givenUp += 1
        pending.push(call(node, id, 'right after'))
      }),
    )
    const endsAt = performance.now() + CALLING_MS
    const keepCalling = async (node: OwnMesh): Promise<void> => {
      const others = nodes.filter((other) => other !== node)
      while (performance.now() < endsAt) {
        const other = others[Math.floor(random() * others.length)]
        assert.ok(other !== undefined)
        await call(node, idOf(other), 'at random')
        await new Promise((resolve) => setTimeout(resolve, 250 + 500 * random()))
      }
    }
    await Promise.all(nodes.slice(-CALLERS).map(keepCalling))
    for (const watching of stops) await watching.stop()
    await Promise.all(pending)
    assert.deepEqual(failures, [])
    assert.ok(givenUp >= 10, `${givenUp} connections were given up`)
    assert.deepEqual(written.toSorted(), lines.toSorted(), 'each was written once')
  })
})
