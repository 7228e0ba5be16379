/** An agent for two skills, outlines and links. */
import { defineAgent } from '../../../node/index.ts'
import { CRAFT_OF } from '../settings.ts'
import { craftOffer } from './extract.ts'

export default defineAgent((agent) => ({ offers: [craftOffer(agent, CRAFT_OF.outliner)] }))
