/** The agent that composes the report: it collects what came of all documents, and writes the file. */
import { defineAgent, offer } from '../../../node/index.ts'
import { Collection } from '../collection.ts'
import { reportProtocol } from '../contracts.ts'
import { writeCollected } from '../write-collected.ts'

export default defineAgent((agent) => {
  let collection = new Collection('')
  const of = (attempt: string): Collection => {
    if (collection.attempt !== attempt) collection = new Collection(attempt)
    return collection
  }
  return {
    offers: [
      offer(reportProtocol, {
        collect: ({ attempt, from, documents, structure, content }) => ({
          failed: of(attempt).add(from, documents, structure, content),
        }),
        write: (asked) => writeCollected(agent.self.name, of(asked.attempt), asked),
      }),
    ],
  }
})
