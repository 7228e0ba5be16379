/** An agent in a worker thread that uses the mesh: calls the contract `toil` elsewhere, publishes, subscribes. */
import { defineAgent, offer } from '../../../node/agent/define-agent.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { errand, stopped, toil, word } from './contract.ts'

export default defineAgent((agent) => {
  const texts: string[] = []
  let invalid = 0
  return {
    offers: [
      offer(errand, {
        async payThrice({ tokens }, context) {
          const options = { parent: context, budget: { amounts: { tokens: 2 * tokens } } }
          await agent.any(toil).pay({ tokens }, options)
          for await (const _ of agent.any(toil).payEach({ tokens }, options));
          context.budget?.spend({ tokens })
          return { tokens: context.budget?.remaining().tokens ?? -1 }
        },
        any: ({ text }) => agent.any(toil).echo({ text }),
        to: ({ peer, text }) => agent.to(peer, toil).echo({ text }),
        async all({ count }) {
          const names: string[] = []
          const options = count === undefined ? {} : { count }
          for await (const reply of agent.all(toil).context({}, options)) {
            names.push('value' in reply ? reply.value.self : 'error')
          }
          return names.sort()
        },
        async stream({ to, take }) {
          const seen: number[] = []
          for await (const { n } of agent.any(toil).count({ to, bytes: 1000 })) {
            seen.push(n)
            if (seen.length >= take) break
          }
          return seen
        },
        async failing() {
          const error = await agent
            .any(toil)
            .refuse({})
            .catch((caught: unknown) => caught)
          if (!isParleyError(error)) throw error
          return { code: error.code, message: error.message, remote: error.remote }
        },
        async wrong() {
          const wrongly = JSON.parse('{"text":4}')
          const error = await agent
            .any(toil)
            .echo(wrongly)
            .catch((caught: unknown) => caught)
          return { code: isParleyError(error) ? error.code : String(error) }
        },
        async publish({ text }) {
          const { topic, sequence } = await agent.events.publish(word, { text })
          return { topic, sequence }
        },
        async publishWrong() {
          const error = await agent.events.publish(word, JSON.parse('{}')).catch((caught: unknown) => caught)
          return { code: isParleyError(error) ? error.code : String(error) }
        },
        heard: () => ({ texts, invalid }),
        async here() {
          const [members, agents] = await Promise.all([agent.members(), agent.agents()])
          return {
            self: agent.self.id,
            members: members.map(({ id }) => id),
            agents: agents.map(({ name }) => name).sort(),
          }
        },
      }),
    ],
    async start() {
      const onInvalid = (): void => {
        invalid += 1
      }
      await agent.events.subscribe(word, ({ data }) => void texts.push(data.text), { onInvalid })
    },
    async stop() {
      await agent.events.publish(stopped, { name: agent.self.name })
    },
  }
})
