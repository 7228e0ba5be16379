/** An agent whose work takes its time, in a worker thread. */
import { defineAgent, offer } from '../../../node/agent/define-agent.ts'
import { labour, labourHandlers } from './labour.ts'

export default defineAgent((agent) => ({
  offers: [
    offer(
      labour,
      labourHandlers((peer, work, onProgress) => agent.to(peer, labour).take(work, { onProgress })),
    ),
  ],
}))
