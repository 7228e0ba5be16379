/** The agent that composes the report: it reads the folder, has the others work on its documents, and writes the file. */
import { defineAgent, offer } from '../../../node/index.ts'
import { compose } from '../compose.ts'
import { reportProtocol } from '../contracts.ts'

export default defineAgent((agent) => ({
  offers: [
    offer(reportProtocol, {
      compose: (request, { signal }) => compose(agent, request, signal),
    }),
  ],
}))
