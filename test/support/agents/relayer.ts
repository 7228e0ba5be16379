/** An agent in a worker thread that passes requests on. */
import { defineAgent, offer } from '../../../node/agent/define-agent.ts'
import { createRelay, relay } from '../relay.ts'

export default defineAgent((agent) => ({
  offers: [
    offer(
      relay,
      createRelay((peer) => agent.to(peer, relay)),
    ),
  ],
}))
