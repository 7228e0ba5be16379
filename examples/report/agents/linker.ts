/** An agent for two skills, links and outlines. */
import { defineAgent } from '../../../node/index.ts'
import { CRAFT_OF } from '../settings.ts'
import { craftOffer } from './extract.ts'

export default defineAgent((agent) => ({ offers: [craftOffer(agent, CRAFT_OF.linker)] }))
