/** Every text of the manager by its key. */
import { checkFindingTexts } from './checktexts.ts';
import { damageTexts } from './damagetexts.ts';
import { deviceTexts } from './devicetexts.ts';
import { diagnosisTexts } from './diagnosistexts.ts';
import { diskTexts } from './disktexts.ts';
import { explainTexts } from './explaintexts.ts';
import { libraryMoveTexts } from './librarymovetexts.ts';
import { machineTexts } from './machinetexts.ts';
import { passthroughTexts } from './passthroughtexts.ts';
import { managerTexts } from './managertexts.ts';
import { networkTexts } from './networktexts.ts';
import { refusalTexts } from './refusaltexts.ts';
import { startTexts } from './starttexts.ts';
import { checkTexts, fileTexts, mediaTexts, ruleTexts } from './texts.ts';

export const saidTexts = {
  ...fileTexts,
  ...mediaTexts,
  ...checkTexts,
  ...ruleTexts,
  ...diagnosisTexts,
  ...explainTexts,
  ...machineTexts,
  ...passthroughTexts,
  ...deviceTexts,
  ...diskTexts,
  ...damageTexts,
  ...checkFindingTexts,
  ...managerTexts,
  ...startTexts,
  ...libraryMoveTexts,
  ...networkTexts,
  ...refusalTexts,
} as const;
export type SaidKey = keyof typeof saidTexts;
