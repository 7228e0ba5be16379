/** A process with one node that works until it is killed. */
import { answerQuestions, tell } from './answer.ts'
import type { VictimVerbs } from './messages.ts'
import { startNode } from './node.ts'

const verbs: VictimVerbs = {
  async live(order) {
    const node = await startNode(order, tell)
    const { id, addresses } = node.mesh.self
    await node.work(order.work)
    return { id, addresses, debugUrl: node.mesh.debugUrl }
  },
}

answerQuestions({ ...verbs })
