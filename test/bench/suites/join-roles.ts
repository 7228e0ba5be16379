/** The ends of the join suite: who is there, who joins and calls, and a node of an idle mesh. */
import { bodies, sharedNowMs } from '../body.ts'
import { asText, asTexts, field } from '../input.ts'
import { readMemory } from '../memory.ts'
import type { Roles } from '../role.ts'

const CALL_BYTES = 256

export const roles: Roles = {
  host: async ({ rpc, members }) => {
    if (rpc === undefined) throw new Error('this system takes no part in join')
    const listening = await rpc.respond()
    return {
      hello: { address: listening.address, hasMembers: members !== undefined },
      verbs: {},
      stop: () => listening.stop(),
    }
  },

  joiner: async ({ rpc }, input) => {
    if (rpc === undefined) throw new Error('this system takes no part in join')
    const caller = await rpc.connect(asText(input))
    const sent = bodies(CALL_BYTES)(1)
    const answer = await caller.call(sent)
    if (answer.data !== sent.data) throw new Error('the answer is not what was sent')
    const readyAtMs = sharedNowMs()
    const { user, system } = process.cpuUsage()
    return { hello: { readyAtMs, cpuMs: (user + system) / 1e3 }, verbs: {}, stop: () => caller.stop() }
  },

  node: async ({ members }, input) => {
    if (members === undefined) throw new Error('this system has no members')
    const node = await members.member(asText(field(input, 'name')), asTexts(field(input, 'seeds')))
    // A node that hears of nothing would keep no gossip mesh.
    await node.subscribe(() => {})
    return {
      hello: node.address,
      verbs: {
        meet: async (addresses) => {
          await node.meet(asTexts(addresses))
          return null
        },
        peers: async () => node.peers(),
        cpu: async () => {
          const { user, system } = process.cpuUsage()
          return (user + system) / 1e3
        },
        memory: async () => readMemory(),
      },
      stop: () => node.stop(),
    }
  },
}
