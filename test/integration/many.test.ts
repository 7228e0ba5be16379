/** Twenty nodes on one host, in four processes, that all dial each other at the same moment. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startMesh, stopMeshes } from '../support/meshes.ts'
import type { Output } from '../support/peer-verbs.ts'
import { freePorts } from '../support/ports.ts'
import { endProcesses, forkProcess, type PeerProcess } from '../support/processes.ts'
import { timed, until } from '../support/until.ts'

const PROCESSES = 4
const EACH = 5
const NODES = PROCESSES * EACH
const ROUNDS = 3
/** Looking costs as well: twenty nodes are asked each time. */
const LOOK_MS = 100

interface Node {
  process: PeerProcess
  as: string
  id: string
}

describe(`${NODES} nodes on one host`, { timeout: 90_000 }, () => {
  // Twenty nodes that start on two cores answer slowly for a while.
  const common = { mesh: 'crowd', events: { syncMs: 5_000 } }
  let processes: PeerProcess[] = []
  let nodes: Node[] = []
  let addresses: string[] = []

  before(async () => {
    addresses = (await freePorts(NODES)).map((port) => `/ip4/127.0.0.1/tcp/${port}`)
    processes = Array.from({ length: PROCESSES }, forkProcess)
    // The processes are up before the nodes start, so that these start at the same moment.
    await Promise.all(processes.map((process) => process.ask('memory', undefined)))
    nodes = await Promise.all(
      addresses.map(async (address, i) => {
        const process = processes[i % PROCESSES]
        assert.ok(process !== undefined)
        const as = `node-${i}`
        // Neighbours in a ring name each other, so these pairs dial from both sides; of the rest the directory tells.
        const join = [1, NODES - 1].flatMap((steps) => addresses[(i + steps) % NODES] ?? [])
        const { id } = await process.ask('start', { ...common, name: as, listen: [address], join }, { as })
        return { process, as, id }
      }),
    )
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  const facts = ({ process, as }: Node): Promise<Output<'facts'>> => process.ask('facts', undefined, { as })
  const everyNode = async (look: (facts: Output<'facts'>) => boolean): Promise<boolean> => {
    for (const node of nodes) if (!look(await facts(node))) return false
    return true
  }

  it('all see each other in the directory within a few seconds of their start', async () => {
    await until('all see all', () => everyNode(({ agents }) => agents.length === NODES), 30_000, LOOK_MS)
  })

  it('dialled each other at once, and end with one connection for each pair', async () => {
    await until(
      'one connection to each other node',
      () => everyNode(({ members, figures }) => members.length === NODES - 1 && figures.connections === NODES - 1),
      30_000,
      LOOK_MS,
    )
    const all = await Promise.all(nodes.map(facts))
    const duplicates = all.reduce((sum, { figures }) => sum + figures.duplicateConnections, 0)
    assert.ok(duplicates > 0, 'there were pairs that had two')
    assert.ok(all.every(({ figures }) => figures.admissions.timeout === 0))
    assert.ok(
      all.every(({ figures }) => Object.keys(figures.admissions).length === 2),
      'nobody was refused',
    )
  })

  it('hear the events of every other, each once, for as long as they are there', async () => {
    const subscriptions = await Promise.all(
      nodes.map(async ({ process, as }) => {
        const { subscription, unconfirmed } = await process.ask('subscribe', { pattern: 'crowd.*' }, { as })
        assert.deepEqual(unconfirmed, [])
        return subscription
      }),
    )
    for (let round = 1; round <= ROUNDS; round += 1) {
      const roundAt = performance.now()
      const recipients = await Promise.all(
        nodes.map(({ process, as }) => process.ask('publish', { topic: `crowd.${as}`, from: round }, { as })),
      )
      assert.ok(
        recipients.every((count) => count > 0),
        `recipients: ${recipients}`,
      )
      await until('all heard all', async () => {
        for (const [i, { process, as }] of nodes.entries()) {
          const { count } = await process.ask('heard', { subscription: subscriptions[i] ?? 0 }, { as })
          if (count < round * NODES) return false
        }
        // Gossip judges its peers once a second: the next round comes after it has done so.
        return performance.now() - roundAt > 1_100
      })
    }
    for (const [i, { process, as }] of nodes.entries()) {
      const { events, missed } = await process.ask('heard', { subscription: subscriptions[i] ?? 0 }, { as })
      const seen = events.map(({ source, data }) => `${source} ${JSON.stringify(data)}`)
      assert.equal(seen.length, ROUNDS * NODES, `${as} heard ${seen.length}`)
      assert.equal(new Set(seen).size, seen.length, 'no event twice, although gossip brings each several times')
      assert.equal(missed, 0)
    }
  })

  it('tell everyone to a late joiner within about a second', async () => {
    const late = await startMesh({ ...common, name: 'late', join: addresses.slice(0, 1) })
    const { ms } = await timed(() => until('it knows all', () => late.mesh.directory.agents().length === NODES + 1))
    assert.ok(ms < 3_000, `${ms} ms`)
    await until('all know it', () => everyNode(({ agents }) => agents.some(({ name }) => name === 'late')))
    await until('it is connected to all', () => late.mesh.members().length === NODES)
    await late.mesh.stop()
    await until('all saw it leave', () => everyNode(({ agents }) => agents.length === NODES))
  })

  it('forget those of a killed process within a few seconds', async () => {
    const [victim] = processes
    const dead = nodes.filter(({ process }) => process === victim)
    nodes = nodes.filter(({ process }) => process !== victim)
    const { ms } = await timed(async () => {
      await victim?.kill()
      await until('they left every view', () =>
        everyNode(({ agents, members }) => agents.length === nodes.length && members.length === nodes.length - 1),
      )
    })
    assert.equal(dead.length, EACH)
    assert.ok(ms < 10_000, `${ms} ms`)
  })
})
