"""Names that ASE knows, written down here so that a request is checked without loading ASE; a test compares them."""

from __future__ import annotations

MOLECULES = frozenset(
    """
    2-butyne Al AlCl3 AlF3 B BCl3 BF3 Be BeH C C2Cl4 C2F4 C2H2 C2H3 C2H4 C2H5 C2H6 C2H6CHOH C2H6NH C2H6SO
    C3H4_C2v C3H4_C3v C3H4_D2d C3H6_Cs C3H6_D3h C3H7 C3H7Cl C3H8 C3H9C C3H9N C4H4NH C4H4O C4H4S C5H5N C5H8
    C6H6 CCH CCl4 CF3CN CF4 CH CH2NHCH2 CH2OCH2 CH2SCH2 CH2_s1A1d CH2_s3B1d CH3 CH3CH2Cl CH3CH2NH2 CH3CH2O
    CH3CH2OCH3 CH3CH2OH CH3CH2SH CH3CHO CH3CN CH3CO CH3COCH3 CH3COCl CH3COF CH3CONH2 CH3COOH CH3Cl CH3NO2 CH3O
    CH3OCH3 CH3OH CH3ONO CH3S CH3SCH3 CH3SH CH3SiH3 CH4 CN CO CO2 COF2 CS CS2 Cl Cl2 ClF ClF3 ClNO ClO F F2
    F2O H H2 H2CCHCN H2CCHCl H2CCHF H2CCO H2CCl2 H2CF2 H2CO H2COH H2O H2O2 H3CNH2 HCCl3 HCF3 HCN HCO HCOOCH3
    HCOOH HCl HF HOCl Li Li2 LiF LiH N N2 N2H4 N2O NCCN NF3 NH NH2 NH3 NO NO2 Na Na2 NaCl O O2 O3 OCHCHO OCS
    OH P P2 PF3 PH2 PH3 S S2 SH SH2 SO SO2 Si Si2 Si2H6 SiCl4 SiF4 SiH2_s1A1d SiH2_s3B1d SiH3 SiH4 SiO
    bicyclobutane butadiene cyclobutane cyclobutene isobutane isobutene methylenecyclopropane trans-butane
    """.split()  # noqa: SIM905
)
"""Molecules of the G2/97 set, whose geometries come with ASE (J. Chem. Phys. 1997, 106, 1063)."""

ELEMENTS = frozenset(
    """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y
    Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re
    Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg
    Cn Nh Fl Mc Lv Ts Og
    """.split()  # noqa: SIM905
)
"""Symbols of the chemical elements."""

CRYSTALS = {
    "sc": 1,
    "fcc": 1,
    "bcc": 1,
    "hcp": 1,
    "diamond": 1,
    "zincblende": 2,
    "rocksalt": 2,
    "cesiumchloride": 2,
    "fluorite": 3,
    "wurtzite": 2,
}
"""Crystal structures that are built by name, each with how many atoms its formula names."""

HEXAGONAL = frozenset({"hcp", "wurtzite"})
"""Those with a second lattice constant."""
