/** Registers of the 82540EM. Intel "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" 317453, chapter 13. */

export const CTRL = 0x0000;
export const STATUS = 0x0008;
export const EECD = 0x0010;
export const EERD = 0x0014;
export const MDIC = 0x0020;
export const VET = 0x0038;
export const ICR = 0x00c0;
export const ITR = 0x00c4;
export const ICS = 0x00c8;
export const IMS = 0x00d0;
export const IMC = 0x00d8;
export const RCTL = 0x0100;
export const TCTL = 0x0400;
export const PBA = 0x1000;
export const RDBAL = 0x2800;
export const RDBAH = 0x2804;
export const RDLEN = 0x2808;
export const RDH = 0x2810;
export const RDT = 0x2818;
export const TDBAL = 0x3800;
export const TDBAH = 0x3804;
export const TDLEN = 0x3808;
export const TDH = 0x3810;
export const TDT = 0x3818;
/** Counters, which reading clears. */
export const STATISTICS = 0x4000;
export const STATISTICS_END = 0x4100;
export const GPRC = 0x4074;
export const GPTC = 0x4080;
/** 64 bits each. */
export const GORC = 0x4088;
export const GOTC = 0x4090;
export const TPR = 0x40d0;
export const TPT = 0x40d4;
export const RXCSUM = 0x5000;
/** Hash table of groups, 128 words. */
export const MTA = 0x5200;
/** Sixteen pairs of address words. */
export const RAL = 0x5400;
export const RA_END = 0x5480;
export const VFTA = 0x5600;
export const VFTA_END = 0x5800;
/** Nothing is kept behind. */
export const REGISTER_BYTES = 0x6000;

export const CTRL_SLU = 1 << 6;
export const CTRL_RST = 1 << 26;
export const CTRL_VME = 1 << 30;
export const CTRL_PHY_RST = 2 ** 31;

export const STATUS_FD = 1;
export const STATUS_LU = 1 << 1;
/** 1000 Mb/s. */
export const STATUS_SPEED = 2 << 6;

export const ICR_TXDW = 1;
export const ICR_TXQE = 1 << 1;
export const ICR_LSC = 1 << 2;
export const ICR_RXDMT0 = 1 << 4;
export const ICR_RXT0 = 1 << 7;
export const ICR_MDAC = 1 << 9;

export const RCTL_EN = 1 << 1;
export const RCTL_UPE = 1 << 3;
export const RCTL_MPE = 1 << 4;
export const RCTL_LPE = 1 << 5;
export const RCTL_BAM = 1 << 15;
export const RCTL_VFE = 1 << 18;
export const RCTL_BSEX = 1 << 25;
export const RCTL_SECRC = 1 << 26;

export const TCTL_EN = 1 << 1;

export const RXCSUM_IPOFLD = 1 << 8;
export const RXCSUM_TUOFLD = 1 << 9;

/** Registers that hold what is written, with the bits that do; those of the tables are whole. */
export const plainRegisters = new Map<number, number>([
  [CTRL, 0xffff_ffff],
  [0x0018, 0xffff_ffff], // CTRL_EXT
  [0x0028, 0xffff_ffff], // FCAL
  [0x002c, 0xffff], // FCAH
  [0x0030, 0xffff], // FCT
  [VET, 0xffff],
  [ITR, 0xffff],
  [0x0170, 0xffff], // FCTTV
  [0x0178, 0xffff_ffff], // TXCW
  [RCTL, 0xffff_ffff],
  [TCTL, 0xffff_ffff],
  [0x0410, 0xffff_ffff], // TIPG
  [0x0458, 0xffff], // AIT
  [0x0e00, 0xffff_ffff], // LEDCTL
  [PBA, 0xffff],
  [0x2160, 0xffff_ffff], // FCRTL
  [0x2168, 0xffff_ffff], // FCRTH
  [RDBAL, 0xffff_fff0],
  [RDBAH, 0xffff_ffff],
  [RDLEN, 0x000f_ff80],
  [RDH, 0xffff],
  [RDT, 0xffff],
  [0x2820, 0xffff], // RDTR
  [0x2828, 0xffff_ffff], // RXDCTL
  [0x282c, 0xffff], // RADV
  [0x2c00, 0xffff_ffff], // RSRPD
  [0x3000, 0xffff_ffff], // TXDMAC
  [TDBAL, 0xffff_fff0],
  [TDBAH, 0xffff_ffff],
  [TDLEN, 0x000f_ff80],
  [TDH, 0xffff],
  [TDT, 0xffff],
  [0x3820, 0xffff], // TIDV
  [0x3828, 0xffff_ffff], // TXDCTL
  [0x382c, 0xffff], // TADV
  [0x3830, 0xffff_ffff], // TSPMT
  [RXCSUM, 0xffff_ffff],
  [0x5800, 0xffff_ffff], // WUC
  [0x5808, 0xffff_ffff], // WUFC
  [0x5820, 0xffff_ffff], // MANC
]);
