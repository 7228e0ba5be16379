/** An agent for two skills. */
import { defineAgent } from '../../../node/index.ts'
import { SKILLS_OF } from '../settings.ts'
import { skillOffers } from './skills.ts'

export default defineAgent((agent) => ({ offers: skillOffers(agent, SKILLS_OF.keyworder) }))
