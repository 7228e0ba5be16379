/** An agent for two skills, summaries and keywords. */
import { defineAgent } from '../../../node/index.ts'
import { CRAFT_OF } from '../settings.ts'
import { craftOffer } from './extract.ts'

export default defineAgent((agent) => ({ offers: [craftOffer(agent, CRAFT_OF.summarizer)] }))
