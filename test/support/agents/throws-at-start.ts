/** An agent whose start() fails. */
import { defineAgent } from '../../../node/agent/define-agent.ts'

export default defineAgent({
  offers: [],
  start() {
    throw new Error('no model was found')
  },
})
