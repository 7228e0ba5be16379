/** An agent that starts well and crashes a moment later, each time. */
import { defineAgent } from '../../../node/agent/define-agent.ts'

export default defineAgent({
  offers: [],
  start() {
    setImmediate(() => {
      throw new Error('out of memory, as it were')
    })
  },
})
