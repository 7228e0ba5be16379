/** An agent for two skills (links, outline), so that each skill is offered twice and none is lost with one process. */
import { defineAgent } from '../../../node/index.ts'
import { skillOffers } from './skills.ts'

export default defineAgent((agent) => ({ offers: skillOffers(agent, ['links', 'outline']) }))
