/** A process that lives as long as the run, with one node that works all the time. */
import { answerQuestions, tell } from './answer.ts'
import { nowMs } from './clock.ts'
import type { Hearing } from './hearing.ts'
import type { Load } from './load.ts'
import type { CoreVerbs } from './messages.ts'
import { type SoakNode, startNode } from './node.ts'
import { createScales } from './sample.ts'

const KNOWN_WITHIN_MS = 20_000
const LOOK_EVERY_MS = 50

const scales = createScales()
let running: SoakNode | undefined
let working: { load: Load; hearing: Hearing } | undefined

const node = (): SoakNode => {
  if (running === undefined) throw new Error('the node was not started')
  return running
}
const work = (): { load: Load; hearing: Hearing } => {
  if (working === undefined) throw new Error('the node does not work')
  return working
}

const figures = () => {
  const { mesh, answering } = node()
  const { active, queued, heldStreams, connections, links } = mesh.figures()
  return {
    active,
    queued,
    'held streams': heldStreams,
    connections,
    links: links.open,
    members: mesh.members().length,
    agents: mesh.directory.agents().length,
    topics: mesh.events.topics().length,
    recent: mesh.events.recent().length,
    'handlers held': answering.held(),
  }
}

const verbs: CoreVerbs = {
  async start(order) {
    running = await startNode(order, tell)
    const { mesh } = running
    return { id: mesh.self.id, addresses: mesh.self.addresses, debugUrl: mesh.debugUrl }
  },
  async known(peers) {
    const endsAt = nowMs() + KNOWN_WITHIN_MS
    for (;;) {
      const offering = node()
        .mesh.directory.offers('soak', 1)
        .map(({ peer }) => peer)
      if (peers.every((peer) => peer === node().mesh.self.id || offering.includes(peer))) return
      if (nowMs() > endsAt) throw new Error(`knows ${offering.length} of ${peers.length} after ${KNOWN_WITHIN_MS} ms`)
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
    }
  },
  async work(order) {
    working = await node().work(order)
  },
  async pause() {
    await Promise.all([work().load.pause(), work().hearing.pause()])
  },
  async weigh() {
    return { ...(await scales.weigh()), ...figures() }
  },
  async resume() {
    work().load.resume()
    work().hearing.resume()
  },
  async totals() {
    const { load, hearing } = work()
    const { published, publishedToAll, heard, lost, late, lostOfCounted, heardFrom, lastOf } = hearing.counts
    return {
      ...load.counts,
      published,
      publishedToAll,
      heard,
      lost: lost(),
      late: late(),
      lostOfCounted: lostOfCounted(),
      heardFrom: [...heardFrom],
      lastOf: [...lastOf],
    }
  },
  async rest() {
    await Promise.all([work().load.stop(), work().hearing.stop()])
  },
  async stop() {
    scales.close()
    await node().mesh.stop()
  },
}

answerQuestions({ ...verbs })
